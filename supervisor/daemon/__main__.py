"""Start of the daemon, by path: `python -P .../daemon/__main__.py --run-dir DIR --socket-fd N`."""

import contextlib
import json
import os
import sys
from pathlib import Path

if __package__ in (None, ""):
    # Run by path: this file's folder must not be where modules are looked for.
    _HERE = str(Path(__file__).resolve().parent)
    sys.path[:] = [place for place in sys.path if place != _HERE]
    _ROOT = str(Path(_HERE).parents[1])
    if _ROOT not in sys.path:
        sys.path.append(_ROOT)


def _tell_launcher(error: BaseException) -> None:
    """Why there will be no daemon, to who starts the next one: standard library only."""
    words = sys.argv
    if "--socket-fd" not in words[:-1]:
        return
    why = f"{type(error).__name__}: {error}".splitlines()[0]
    line = json.dumps({"do": "failed", "why": why}).encode() + b"\n"
    with contextlib.suppress(OSError, ValueError):  # it is gone, or was never there
        os.write(int(words[words.index("--socket-fd") + 1]), line)


def _main() -> int:
    # Here, and not above: an upgrade may have left modules that cannot be imported.
    from supervisor.daemon.main import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    try:
        code = _main()
    except BaseException as error:
        if not isinstance(error, SystemExit):
            _tell_launcher(error)
        raise
    sys.exit(code)
