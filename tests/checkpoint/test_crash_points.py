"""SIGKILL before and after each call of a commit that reaches the disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("crash_driver.py")
ROOT = DRIVER.parents[2]


@pytest.mark.parametrize("case", ["new", "occupied"])
def test_a_kill_anywhere_leaves_a_valid_newest(tmp_path: Path, case: str) -> None:
    """At most one staging directory is left, it can be cleaned, nothing torn has a name."""
    done = subprocess.run(
        [sys.executable, DRIVER, tmp_path, case],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(report["killed"] for report in reports) > 30
    assert not reports[-1]["killed"]
    assert reports[-1]["newest"] == 500
    for report in reports:
        staging = [name for name in report["left"] if name.startswith(".staging-")]
        assert len(staging) <= 1
        assert set(report["cleaned"]) <= {"checkpoint-400", "checkpoint-500", ".set-aside"}
        assert report["newest"] in (400, 500)
        assert report["invalid"] == []
