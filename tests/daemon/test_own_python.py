"""Whether an exit code is a Python's own, or that of a shell and its pipe."""

import os
import sys
from pathlib import Path

import pytest

from supervisor.daemon.look.exit_code_owner import runs_python


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["python", "t.py"], True),
        (["/w/venv/bin/python3.11", "-m", "t"], True),
        (["env", "A=python", "nice", "python", "t.py"], True),
        (["srun", "-n", "2", "python3", "t.py"], True),
        (["sh", "-c", "python t.py | tee log"], False),
        (["env", "A=1", "bash", "-c", "python t.py | tee log", "python"], False),
        (["bash", "train.sh"], False),
        (["no-such-program-here", "python"], False),
        ([], False),
    ],
)
def test_a_command_is_a_python_or_not(command: list[str], expected: bool) -> None:
    """A command whose exit code may differ from its Python's is no Python."""
    assert runs_python(command) is expected


def test_links_and_scripts_are_followed(tmp_path: Path) -> None:
    """A link of another name, and a script whose first line names an interpreter."""
    link = tmp_path / "trainer"
    link.symlink_to(os.path.realpath(sys.executable))
    assert runs_python([str(link)])
    for line, expected in (("#!/usr/bin/env python3", True), ("#!/bin/sh", False)):
        script = tmp_path / "train"
        script.write_text(f"{line}\n# python\n")
        script.chmod(0o755)
        assert runs_python([str(script)]) is expected
