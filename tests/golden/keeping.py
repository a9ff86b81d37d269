"""The golden files: compared with their present content, and rewritten under GOLDEN=update."""

import difflib
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
IS_UPDATE = os.environ.get("GOLDEN") == "update"
_HINT = "GOLDEN=update writes it anew, where that is meant:\n"


def hold_against(name: str, text: str) -> None:
    """Compare a text with the file of that name below tests/golden, or write it."""
    path = FOLDER / name
    if IS_UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return
    kept = path.read_text() if path.exists() else ""
    if text != kept:
        lines = difflib.unified_diff(kept.splitlines(), text.splitlines(), name, "now", "", "", 1)
        pytest.fail(_HINT + "\n".join(lines))


def hold_within(name: str, lines: Iterable[str]) -> None:
    """Find each line in the file of that name, whose lines are sorted, or add it."""
    path, now = FOLDER / name, set(lines)
    if not IS_UPDATE:
        new = now - set(path.read_text().splitlines())
        assert not new, f"not in {name}; {_HINT}" + "\n".join(sorted(new))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        known = set(file.read().splitlines())
        file.truncate(0)
        file.write("".join(f"{line}\n" for line in sorted(known | now)))
