"""Stand-ins for SLURM's commands: they print a file's content, and note their arguments."""

import os
from pathlib import Path

import pytest

STANDIN = """#!/bin/sh
here=$(dirname "$0")
name=$(basename "$0")
printf '%s\\n' "$*" >>"$here/$name.called"
[ "$name" != sbatch ] || cat >"$here/sbatch.script"
for word in "$@"; do
    [ ! -e "$here/$name.$word" ] || { cat "$here/$name.$word"; exit 0; }
done
[ ! -e "$here/$name.error" ] || { cat "$here/$name.error" >&2; exit 1; }
[ ! -e "$here/$name.out" ] || cat "$here/$name.out"
"""


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of stand-ins, first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("scontrol", "squeue", "sbatch"):
        (folder / name).write_text(STANDIN)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder
