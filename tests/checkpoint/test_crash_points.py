"""Kill a commit with SIGKILL before and after each of its calls that reach the disk."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).with_name("crash_driver.py")
ROOT = DRIVER.parents[2]


def killed_everywhere(*arguments: str | Path) -> list[dict[str, Any]]:
    """The driver's report after each kill; the last report is of the run without a kill."""
    done = subprocess.run(
        [sys.executable, DRIVER, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    reports: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(report["killed"] for report in reports) > 30
    assert not reports[-1]["killed"]
    return reports


@pytest.mark.parametrize("case", ["new", "occupied"])
def test_a_kill_anywhere_leaves_a_valid_newest(tmp_path: Path, case: str) -> None:
    """At most one staging directory is left, cleaning removes it, and no torn save has a name."""
    reports = killed_everywhere(tmp_path, case)
    assert reports[-1]["newest"] == 500
    for report in reports:
        staging = [name for name in report["left"] if name.startswith(".staging-")]
        assert len(staging) <= 1
        assert set(report["cleaned"]) <= {"checkpoint-400", "checkpoint-500", ".set-aside"}
        assert report["newest"] in (400, 500)
        assert report["invalid"] == []


@pytest.mark.parametrize("where", ["run", "beside", "inside"])
def test_a_kill_while_one_is_set_aside(tmp_path: Path, elsewhere: Path, where: str) -> None:
    """The moved checkpoint is whole in one place, each pointer names old or new, and a retry heals.

    `where`: the run directory takes the checkpoint, or a rename to it does not work.
    """
    root = (tmp_path / "state" if where == "run" else elsewhere) / "set-aside"
    root.parent.mkdir(exist_ok=True)
    blocked = ["blocked"] if where == "inside" else []
    reports = killed_everywhere(tmp_path, "aside", root, *blocked)
    both = [["checkpoint-500", "disk", True], ["checkpoint-400", "disk", True]]
    moved = [["checkpoint-400", "disk", True], ["checkpoint-500", "set_aside", True]]
    texts = set()
    for report in reports:
        whole = [
            [name, tier, valid or tier == "set_aside"] for name, tier, valid in report["whole"]
        ]
        assert whole in (both, moved)
        texts.add(tuple(report["said"]))
        assert report["healed"] == ["checkpoint-400\n", "checkpoint-400"]
        names = {"checkpoint-400", "latest", "latest.link"}
        assert set(report["left"]) - {".set-aside"} == names
        assert (".set-aside" in report["left"]) == (where == "inside")
        place = Path(report["place"])
        saves = tmp_path / "saves"
        above = place.parents[2 if where == "inside" else 1]
        assert (place.name, above) == ("invalid", tmp_path / "state" if where == "run" else saves)
    assert texts == {
        ("checkpoint-500\n", "checkpoint-500"),
        ("checkpoint-400\n", "checkpoint-500"),
        ("checkpoint-400\n", "checkpoint-400"),
    }
