"""The record of a process's imports, and of what its program changes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.worker.imports import recorder

ROOT = Path(__file__).resolve().parents[2]


def recorded(code: str, path: Path, **environ: str) -> dict:
    """Run code that ends with a record, and read it."""
    text = f"{code}\nfrom supervisor.worker.imports import recorder\nrecorder.record({str(path)!r})"
    env = {"PATH": os.environ["PATH"], **environ}
    subprocess.run([sys.executable, "-c", text], check=True, cwd=ROOT, env=env)
    return json.loads(path.read_text())


def test_modules_are_recorded_in_their_order(tmp_path: Path) -> None:
    """Parents come before children; modules without a file and lazy ones are left alone."""
    lazy = (
        "import importlib.util as u, sys\ns = u.find_spec('wave')\n"
        "s.loader = u.LazyLoader(s.loader)\nm = u.module_from_spec(s)\n"
        "sys.modules['wave'] = m\ns.loader.exec_module(m)\nsys.modules['odd'] = object()\n"
    )
    path = tmp_path / "record"
    found = recorded(f"{lazy}import xml.dom.minidom, decimal", path)
    names = [line.split("\t")[0] for line in found["modules"].splitlines()]
    order = [names.index(name) for name in ("xml", "xml.dom", "xml.dom.minidom", "decimal")]
    assert order == sorted(order)
    assert "sys" not in names
    assert "odd" not in names
    # Had the lazy module woken, it would have imported this one.
    assert "chunk" not in names
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no record of imports yet"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"format": 0}', "another format"),
        ('{"format": 1, "python": "2", "prefix": "/"}', "another Python"),
    ],
)
def test_a_record_that_does_not_fit_is_passed_over(
    text: str | None, reason: str, tmp_path: Path
) -> None:
    """The reader returns the reason, and never fails."""
    if text is not None:
        (tmp_path / "record").write_text(text)
    found = recorder.read(str(tmp_path / "record"))
    assert isinstance(found, str)
    assert reason in found


def test_a_record_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """For a folder in the record's place the recorder raises OSError and leaves no file."""
    (tmp_path / "record").mkdir()
    with pytest.raises(OSError, match="record"):
        recorder.record(str(tmp_path / "record"))
    assert [path.name for path in tmp_path.iterdir()] == ["record"]
