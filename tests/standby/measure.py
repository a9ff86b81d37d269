"""Times from "go" to the first statement and to the first optimizer step, beside a cold start.

Run by hand: `python tests/standby/measure.py [--rounds N] [--verify]` prints medians, mostly in
milliseconds.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from standin import Parked, run_cold  # noqa: E402

from supervisor.standby import start  # noqa: E402

TRAIN = """
import time
first = time.monotonic()
import torch
model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
optimizer = torch.optim.AdamW(model.parameters())
model(torch.ones(8, 16)).mean().backward()
optimizer.step()
step = time.monotonic()
import json
print(json.dumps([first, step]))
from supervisor.worker.imports import recorder
recorder.record("record")
"""


def main() -> None:
    """Measure, and print one line for each figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--verify", action="store_true", help="have the files looked at before go")
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.py").write_text(TRAIN)
        argv = [sys.executable, "train.py"]
        environ = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
        for way in ("cold", "auto", "recorded") * options.rounds:
            log = folder / "log"
            log.unlink(missing_ok=True)
            attempt = {**environ, "SUPERVISOR_ATTEMPT": "3"}
            if way == "cold":
                began = time.monotonic()
                assert run_cold(argv, attempt, cwd=folder, log=log) == 0, log.read_text()
            else:
                record = folder / "record" if way == "recorded" else None
                parked = Parked(argv, environ, cwd=folder, output=folder / "out", record=record)
                answer = parked.hear()
                assert "parked" in answer, answer
                said = answer["parked"]
                found.setdefault(f"{way}: parked within, ms", []).append(said["seconds"] * 1e3)
                found.setdefault(f"{way}: resident, MB", []).append(said["rss_bytes"] / 1e6)
                if options.verify:
                    parked.say(start.verify())
                    parked.hear()
                began = time.monotonic()
                assert parked.go(log, environ=attempt) == {"going": True}
                answered = time.monotonic()
                found.setdefault(f"{way}: answer, ms", []).append((answered - began) * 1e3)
                assert parked.wait() == 0, log.read_text()
                parked.end()
            first, step = json.loads(log.read_text().splitlines()[0])
            found.setdefault(f"{way}: first statement, ms", []).append((first - began) * 1e3)
            found.setdefault(f"{way}: first step done, ms", []).append((step - began) * 1e3)
    for line, values in found.items():
        low, high = min(values), max(values)
        print(f"{line:36} {statistics.median(values):9.2f}   {low:9.2f} …{high:9.2f}")


if __name__ == "__main__":
    main()
