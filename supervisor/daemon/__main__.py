"""Start of the daemon, by path: `python -P .../daemon/__main__.py --run-dir DIR --socket-fd N`."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    # Run by path: this file's folder must not be where modules are looked for.
    _HERE = str(Path(__file__).resolve().parent)
    sys.path[:] = [place for place in sys.path if place != _HERE]
    _ROOT = str(Path(_HERE).parents[1])
    if _ROOT not in sys.path:
        sys.path.append(_ROOT)

from supervisor.daemon.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
