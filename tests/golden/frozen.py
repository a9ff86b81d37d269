"""`supervisor` at a fixed moment: reads argv lists as JSON, and prints their outputs as JSON.

`python frozen.py FOLDER NOW`: a folder for the outputs, and seconds since 1970. Each command runs
in a child of its own, so that the imports are paid for once.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path

from supervisor.cli import main

NOW = 1782907200.0  # 2026-07-01T12:00:00Z


def call(argv: list[str], place: Path) -> dict[str, object]:
    """Run one command line; its two outputs and its exit code."""
    files = [place / "stdout", place / "stderr"]
    if (child := os.fork()) == 0:
        with contextlib.ExitStack() as stack:
            for number, file in enumerate(files, start=1):
                os.dup2(stack.enter_context(file.open("w")).fileno(), number)
        sys.argv = ["supervisor", *argv]
        code = 99
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    out, err = (file.read_text() for file in files)
    return {"argv": argv, "stdout": out, "stderr": err, "code": os.waitstatus_to_exitcode(status)}


if __name__ == "__main__":
    import click

    from supervisor.cli.group import COMMANDS, supervisor

    for name in COMMANDS:
        supervisor.get_command(click.Context(supervisor), name)
    now = float(sys.argv[2])
    time.time = lambda: now
    time.time_ns = lambda: int(now * 1e9)
    place = Path(sys.argv[1])
    told = [call(argv, place) for argv in json.load(sys.stdin)]
    json.dump(told, sys.stdout)
