"""Looks into a directory of metrics for a command, which must not wait for a file server for ever.

A child process looks: one that waits inside a dead file server cannot be ended, and a thread that
waits there would keep the command from ending.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from supervisor.system.child_end import end_child

PATIENCE_S = 3.0


class SilentDirectoryError(OSError):
    """The directory did not answer in time."""


def sizes(paths: Sequence[Path]) -> list[int | None]:
    """The size of each file of one directory, None for one that is not there. Raises OSError."""
    return _ask("sizes", paths, paths[0].parent)


def remove(path: Path) -> None:
    """Remove a file that may be gone already. Raises OSError."""
    _ask("remove", [path], path.parent)


def is_directory(path: Path) -> tuple[bool, bool]:
    """Whether it is a directory, and whether files can be made in it. Raises OSError."""
    is_one, is_writable = _ask("directory", [path], path)
    return bool(is_one), bool(is_writable)


def _ask(what: str, paths: Sequence[Path], directory: Path) -> list[int | None]:
    order = json.dumps([what, [str(path) for path in paths]])
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        said, _ = child.communicate(order.encode(), PATIENCE_S)
        answer = json.loads(said.splitlines()[-1])
    except subprocess.TimeoutExpired:
        end_child(child)
        raise SilentDirectoryError(f"{directory} does not answer") from None
    except (ValueError, IndexError):
        raise OSError(f"{directory}: the process that looks there has ended") from None
    if isinstance(answer, str):
        raise OSError(answer)
    return list(answer)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _answer(what: str, paths: Sequence[Path]) -> list[int | None] | str:
    match what:
        case "sizes":
            return [_size(path) for path in paths]
        case "directory":
            return [paths[0].is_dir(), os.access(paths[0], os.W_OK | os.X_OK)]
        case _:
            try:
                paths[0].unlink(missing_ok=True)
            except OSError as error:
                return f"{paths[0]}: {error.strerror}"
            return []


def main() -> None:
    """Answer the one question on standard input, as JSON; a text says why it cannot be done."""
    what, paths = json.load(sys.stdin)
    sys.stdout.write("\n" + json.dumps(_answer(what, [Path(path) for path in paths])) + "\n")


if __name__ == "__main__":
    main()
