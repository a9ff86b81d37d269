"""The process that makes one probe: its argument is the question, standard output the answer."""

import json
import sys
from pathlib import Path

from supervisor.core.vocabulary import Failure
from supervisor.daemon.look.probes import probe


def main(argument: str) -> None:
    """Look once, and print the answer as JSON."""
    asked = json.loads(argument)
    place = asked["place"]
    found = probe(
        Failure(asked["cause"]),
        directory=Path(asked["directory"]),
        checkpoint_bytes=int(asked["checkpoint_bytes"]),
        files=int(asked["files"]),
        place=None if place is None else Path(place),
        name=str(asked["name"]),
    )
    print(json.dumps({"clear": found.clear, "what": found.what}))


if __name__ == "__main__":
    main(sys.argv[1])
