"""When the next save is due: learned from complete saves, told to the loop, kept in the ledger."""

import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.core.entries.saves import SaveIntervalEntry
from supervisor.core.history import History
from supervisor.core.vocabulary import Tier
from supervisor.daemon.look.next_save import NextSave
from supervisor.daemon.run import Run
from supervisor.survey.answer import Survey
from supervisor.worker.sign_layout import NEXT_SAVE

STARTED_S = 10_000.0


class Told:
    """A run's next save, and what it writes."""

    def __init__(self, folder: Path, known: float | None = None) -> None:
        self.recorded: list[SaveIntervalEntry] = []
        self.folder = folder
        self.began = time.time()
        journal = SimpleNamespace(
            record=self.recorded.append, log=SimpleNamespace(warning=lambda *_, **__: None)
        )
        history = replace(History(), save_interval_s=known)
        config = SimpleNamespace(grace=120.0)
        run = SimpleNamespace(history=history, journal=journal, config=config)
        self.saves = NextSave(cast("Run", run))
        self.saves.follow(1, time.monotonic() - STARTED_S)

    def survey(self, *entries: CheckpointEntry) -> None:
        """A survey has found these, and the loop is told."""
        self.saves.note_survey(Survey(entries=entries))
        self.saves.tell(self.folder)

    @property
    def file(self) -> dict[str, Any] | None:
        """The file, if there is one."""
        path = self.folder / NEXT_SAVE
        return dict(json.loads(path.read_text())) if path.exists() else None


def entry(ago_s: float, name: str = "", **more: object) -> CheckpointEntry:
    """A checkpoint that was written so long ago."""
    name = name or f"step-{STARTED_S - ago_s:.0f}"
    facts: dict[str, Any] = dict.fromkeys(CheckpointEntry.__dataclass_fields__)
    facts |= {"path": Path("/run") / name, "name": name, "tier": Tier.DISK, "valid": True}
    facts |= {"own_run": True, "mtime": time.time() - ago_s, **more}
    return CheckpointEntry(**facts)


def test_two_saves_make_an_interval(tmp_path: Path) -> None:
    """With one nothing is told; with two the loop knows the interval and the newest."""
    told = Told(tmp_path)
    told.survey(entry(700.0))
    assert told.file is None
    told.survey(entry(700.0), entry(100.0))
    assert told.file is not None
    assert told.file["interval_s"] == pytest.approx(600.0, abs=1.0)
    assert told.file["since_s_monotonic"] == pytest.approx(time.monotonic() - 100.0, abs=1.0)
    assert told.file["grace_s"] == 120.0
    (recorded,) = told.recorded
    assert recorded.interval_s == pytest.approx(600.0, abs=1.0)


@pytest.mark.parametrize(
    "more",
    [
        {"valid": None},
        {"valid": False},
        {"own_run": False},
        {"tier": Tier.MEMORY},
        {"tier": Tier.SET_ASIDE},
    ],
)
def test_only_proven_saves_of_this_run_make_an_interval(
    tmp_path: Path, more: dict[str, object]
) -> None:
    """A torn one, another run's, and a snapshot in memory are none."""
    told = Told(tmp_path)
    told.survey(entry(700.0), entry(100.0, **more))
    assert told.file is None


def test_checkpoints_from_before_the_attempt_are_no_saves_of_it(tmp_path: Path) -> None:
    """The pause between two attempts is no interval."""
    told = Told(tmp_path)
    told.survey(entry(STARTED_S + 500.0), entry(100.0))
    assert told.file is None


def test_the_longest_of_the_last_intervals_counts(tmp_path: Path) -> None:
    """A best checkpoint two seconds after each other one is no interval of two seconds."""
    told = Told(tmp_path)
    pairs = [entry(9000.0 - 600.0 * n - 2.0 * m, f"s{n}-{m}") for n in range(15) for m in (0, 1)]
    for number in range(len(pairs)):
        told.survey(*pairs[: number + 1])
    assert told.file is not None
    assert told.file["interval_s"] == pytest.approx(598.0, abs=1.0)
    assert len(told.recorded) == 2


def test_a_file_that_is_written_again_and_again(tmp_path: Path) -> None:
    """`last.pt` is one path, and a save each time that it is newer."""
    told = Told(tmp_path)
    told.survey(entry(900.0, "last.pt"))
    told.survey(entry(600.0, "last.pt"))
    told.survey(entry(600.0, "last.pt"))
    assert told.file is not None
    assert told.file["interval_s"] == pytest.approx(300.0, abs=1.0)


def test_a_save_that_is_not_proven_yet_tells_when_the_next_one_is_due(tmp_path: Path) -> None:
    """Its proof takes a while; but a file that changed just now may be half."""
    told = Told(tmp_path)
    told.survey(entry(700.0), entry(100.0))
    told.survey(entry(700.0), entry(100.0), entry(1.0, valid=None))
    assert told.file is not None
    assert told.file["since_s_monotonic"] == pytest.approx(time.monotonic() - 100.0, abs=1.0)
    told.survey(entry(700.0), entry(100.0), entry(4.0, valid=None))
    assert told.file["since_s_monotonic"] == pytest.approx(time.monotonic() - 4.0, abs=1.0)
    assert told.file["interval_s"] == pytest.approx(600.0, abs=1.0)


def test_only_proven_saves_tell_whether_the_next_one_comes_too_late(tmp_path: Path) -> None:
    """A save that pauses for seconds looks complete: until its proof nothing is concluded."""
    told, one, two = Told(tmp_path), entry(700.0), entry(100.0)
    told.survey(one)
    assert told.saves.times is None
    told.survey(one, two)
    times = told.saves.times
    assert times is not None
    assert times.written_at == pytest.approx(time.monotonic() - 100.0, abs=1.0)
    assert times.due_at == pytest.approx(time.monotonic() + 500.0, abs=1.0)
    for ago_s in (0.0, 4.0, 9.0):
        told.survey(one, two, entry(ago_s, "half", valid=None))
        assert told.saves.times is None
    told.survey(one, two, entry(10.0, "half", valid=False))
    assert told.saves.times == times
    told.survey(one, two, entry(10.0))
    times = told.saves.times
    assert times is not None
    assert times.written_at == pytest.approx(time.monotonic() - 10.0, abs=1.0)
    told.saves.follow(2, time.monotonic())
    assert told.saves.times is None


def test_the_next_attempt_and_the_next_daemon_know_the_interval(tmp_path: Path) -> None:
    """When the last save was is not known to them: that was another process's."""
    told = Told(tmp_path, known=300.0)
    told.survey()
    expected = {"interval_s": 300.0, "since_s_monotonic": None, "grace_s": 120.0}
    expected |= {"stop_s_monotonic": None}
    assert told.file == expected
    assert told.recorded == []
    told.survey(entry(900.0), entry(610.0), entry(320.0))
    told.saves.follow(2, time.monotonic())
    told.survey(entry(900.0), entry(610.0), entry(320.0))
    assert told.file is not None
    assert told.file["since_s_monotonic"] is None


def test_a_stop_has_less_time(tmp_path: Path) -> None:
    """What the scheduler leaves is told before the signal, and stays, as does that it is a stop."""
    told = Told(tmp_path, known=300.0)
    told.saves.tell(tmp_path)
    assert told.file is not None
    assert told.file["stop_s_monotonic"] is None
    told.saves.tell(tmp_path, 25.0)
    told.survey()
    assert told.file["grace_s"] == 25.0
    assert told.file["stop_s_monotonic"] == pytest.approx(time.monotonic(), abs=1.0)
    told.saves.follow(2, time.monotonic())
    told.survey()
    assert told.file["stop_s_monotonic"] is None


def test_a_directory_that_refuses(tmp_path: Path) -> None:
    """The loop is told nothing, and nothing else is lost."""
    told = Told(tmp_path / "gone", known=300.0)
    told.survey()
    assert told.file is None


def test_a_file_server_whose_clock_is_ahead(tmp_path: Path) -> None:
    """No save is complete before it is seen."""
    told = Told(tmp_path)
    told.survey(entry(300.0), entry(-50.0))
    assert told.file is not None
    assert told.file["since_s_monotonic"] <= time.monotonic() + 0.001  # it is told in whole ms
