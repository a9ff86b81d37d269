"""The stubs at the paths that the previous version's launcher or daemon starts."""

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "supervisor"


def told(*words: str | Path) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a Python program."""
    done = subprocess.run(
        [sys.executable, "-P", *map(str, words)], stdin=subprocess.DEVNULL, timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("before", "now", "arguments", "code"),
    [
        ("cli/view.py", "cli/show/view.py", ["--no-such"], 2),
        ("snapshot/__main__.py", "memory/__main__.py", ["--no-such"], 2),
        ("checkpoint/__main__.py", "survey/__main__.py", ["--no-such"], 2),
        ("checkpoint/__main__.py", "survey/__main__.py", ["serve"], 0),
        ("watch/gpu_use.py", "daemon/look/gpu_use.py", ["no-pid"], 1),
    ],
)
def test_a_path_of_before(before: str, now: str, arguments: list[str], code: int) -> None:
    """The old path gets the same arguments, and answers like the new path."""
    new = told(PACKAGE / now, *arguments)
    assert new[0] == code, new
    assert told(PACKAGE / before, *arguments) == new


def test_a_probe_by_its_name_of_before(tmp_path: Path) -> None:
    """The previous version's daemon starts a probe by the module's old name."""
    asked = (
        f'{{"cause": "disk_full", "directory": "{tmp_path}", "checkpoint_bytes": 1, "files": 1,'
        ' "place": null, "name": "x"}'
    )
    code, said, error = told("-m", "supervisor.daemon.probe_child", asked)
    assert (code, error) == (0, "")
    assert '"clear": true' in said
