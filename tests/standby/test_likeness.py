"""Checks by the parked interpreter alone: its imports change no more than the program's did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_parking import record_of, script
from test_parking import site as site  # a fixture

from supervisor.standby.refusal import Refused
from supervisor.standby.warm_is_cold import Likeness
from supervisor.worker.imports import observations

if TYPE_CHECKING:
    from collections.abc import Callable

    from standin import Parked


def see(record: Path, **facts: Any) -> None:
    """Add facts to what was observed of the program."""
    path = record.with_name(record.name + observations.SUFFIX)
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


@pytest.mark.parametrize(
    ("package", "facts", "reason"),
    [
        ("import random\nX = random.random()", {},
         "its imports draw or seed random numbers of random"),
        ("import random\nrandom.seed(1)", {}, "its imports draw or seed random numbers of random"),
        ("import logging\nlogging.basicConfig()", {"besides": ["logging"]},
         "the program changes logging before its imports, and the imports change it too"),
        ("import signal\nsignal.signal(2, print)", {"besides": ["signal handlers"]},
         "the program changes signal handlers before its imports, and the imports change it too"),
        ("import another", {},
         "the parked imports load another, but the program's imports did not"),
        ("", {"changes": [["changes its umask", "heavy"], ["changes os.fork", "heavy"]]},
         "the program changes its umask before it imports heavy, and 1 more"),
        ("", {"spoiled": "why"}, "its imports could not be followed: why"),
        ("", {"packages": []}, "its imports could not be followed"),
        ("", {"late_environment": {"LATE": "1.0"}},
         "the program sets LATE itself before its imports"),
    ],
)  # fmt: skip
def test_what_would_be_otherwise_is_refused(
    tmp_path: Path,
    site: Path,
    park: Callable[..., Parked],
    package: str,
    facts: dict[str, Any],
    reason: str,
) -> None:
    """Parking is refused, with the reason, if its imports would not do as the program's did."""
    (site / "heavy.py").write_text(package)
    (site / "another.py").write_text("")
    record = record_of(tmp_path / "record", {"heavy": site / "heavy.py"})
    see(record, **facts)
    assert park(script(tmp_path), record=record).hear() == {"refused": reason}


@pytest.mark.parametrize(
    ("package", "facts"),
    [
        ("import random\nX = random.Random(3).random()", {}),
        ("import logging\nlogging.basicConfig()", {}),
        ("", {"besides": ["logging", "signal handlers", "the garbage collector"]}),
        ("", {"late_environment": {"_TORCHINDUCTOR_X": "1.0", "TEARDOWN_CUPTI": None}}),
    ],
)
def test_what_is_alike_is_parked(
    tmp_path: Path,
    site: Path,
    park: Callable[..., Parked],
    package: str,
    facts: dict[str, Any],
) -> None:
    """Parking is possible if only one side changes it, or if a library changes only itself."""
    (site / "heavy.py").write_text(package)
    record = record_of(tmp_path / "record", {"heavy": site / "heavy.py"})
    see(record, **facts)
    assert "parked" in park(script(tmp_path), record=record).hear()


def test_a_changed_program_is_refused(
    tmp_path: Path, site: Path, park: Callable[..., Parked]
) -> None:
    """A changed program, or one whose imports were not followed, may do anything before them."""
    (site / "heavy.py").write_text("")
    record = record_of(tmp_path / "record", {"heavy": site / "heavy.py"})
    argv = script(tmp_path)
    found = (tmp_path / "train.py").stat()
    own = [[str(tmp_path / "train.py"), found.st_mtime_ns, found.st_size, found.st_ino]]
    record.write_text(json.dumps({**json.loads(record.read_text()), "own": own}))
    parked = park(argv, record=record)
    assert "parked" in parked.hear()
    (tmp_path / "train.py").write_text("print('another')")
    refused = parked.go(tmp_path / "log")
    assert refused == {"refused": f"{tmp_path / 'train.py'} has changed"}
    record.with_name("record.observed").unlink()
    assert park(argv, record=record).hear() == {"refused": "its imports were not followed"}


def test_a_program_that_imports_only_ours_was_followed(tmp_path: Path) -> None:
    """The imports count as followed if the program imports no installed package but this one."""
    record = str(tmp_path / "record")
    unseen = {"packages": [], "besides": [], "environment": {}, "late_environment": {}}
    observations.Notes(record, "1").write({"changes": [], "spoiled": None, **unseen})
    ours = {"supervisor.worker": "/x-packages/supervisor/worker.py"}
    Likeness(record).check_modules(ours, ours)
    both = {**ours, "heavy": "/x-packages/heavy.py"}
    with pytest.raises(Refused, match="could not be followed"):
        Likeness(record).check_modules(both, both)
