"""Start of the daemon, by path: `python -P .../daemon/__main__.py --run-dir DIR --socket-fd N`."""

import contextlib
import json
import os
import sys
from pathlib import Path

if __package__ in (None, ""):
    # Run by path: this file's folder must not stay on sys.path.
    _HERE = str(Path(__file__).resolve().parent)
    sys.path[:] = [place for place in sys.path if place != _HERE]
    _ROOT = str(Path(_HERE).parents[1])
    if _ROOT not in sys.path:
        sys.path.append(_ROOT)


def _tell_launcher(error: BaseException) -> None:
    """Tell the launcher why this daemon cannot start. Standard library only."""
    words = sys.argv
    if "--socket-fd" not in words[:-1]:
        return
    why = f"{type(error).__name__}: {error}".splitlines()[0]
    line = json.dumps({"do": "failed", "why": why}).encode() + b"\n"
    with contextlib.suppress(OSError, ValueError):  # the socket is gone, or never was
        os.write(int(words[words.index("--socket-fd") + 1]), line)


def _main() -> int:
    # Imported here: an upgrade may have left modules whose import fails, and that must be told.
    from supervisor.daemon.light_imports import light_imports

    with light_imports():
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
