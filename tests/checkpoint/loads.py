"""`python -m tests.checkpoint.loads FOLDER`: load each checkpoint in it and print the outcome."""

import json
import resource
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path

import torch

from supervisor.torch.reading import load

FORBIDDEN = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen")
ROOM_BYTES = 1 << 30
LIMIT_S = 10


def main(place: Path) -> None:
    """Load all. An exception is an answer; a signal, a hang or a lack of memory is not."""
    forbidden: list[str] = []
    sys.addaudithook(lambda event, _: forbidden.append(event) if event in FORBIDDEN else None)
    warnings.simplefilter("ignore")
    torch.load  # noqa: B018 - import torch.load's modules before the limit
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    errors: Counter[str] = Counter()
    cases = 0
    for folder in sorted(place.iterdir()):
        cases += 1
        signal.alarm(LIMIT_S)
        try:
            load(folder)
        except Exception as error:
            errors[type(error).__name__] += 1
        signal.alarm(0)
    print(json.dumps({"cases": cases, "errors": errors, "forbidden": forbidden}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
