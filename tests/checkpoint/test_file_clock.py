"""A file system's clock: for a local one the machine's own, for a server's a measurement."""

import os
from pathlib import Path

import pytest

from supervisor.survey import file_clock
from supervisor.survey.file_clock import clock_ahead_s
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey


def test_a_local_file_system_has_this_machines_clock(tmp_path: Path) -> None:
    """The measurement leaves no file behind, and a survey makes it only on request."""
    assert clock_ahead_s(tmp_path) == 0.0
    assert list(tmp_path.iterdir()) == []
    assert survey(SurveyRequest(tmp_path, reads_clock=True)).clock_ahead_s == 0.0
    assert survey(SurveyRequest(tmp_path)).clock_ahead_s is None


@pytest.mark.parametrize("ahead_s", [30.0, -30.0])
def test_a_servers_clock_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    """When our clock is moved, the server's appears moved the other way."""
    now = file_clock.wall_s
    monkeypatch.setattr(file_clock, "wall_s", lambda: now() - ahead_s)
    assert clock_ahead_s(tmp_path) == pytest.approx(ahead_s, abs=0.5)


@pytest.mark.parametrize(("is_remote", "expected"), [(False, 0.0), (True, None)])
def test_where_nothing_can_be_made_only_a_local_clock_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_remote: bool, expected: float | None
) -> None:
    """In a directory where no file can be made, only a local file system's clock is known."""
    monkeypatch.setattr(file_clock, "is_remote", lambda _: is_remote)
    assert clock_ahead_s(tmp_path / "absent") == expected


def test_whole_seconds_are_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file system keeps no fractions, times up to two seconds behind mean nothing."""
    real = os.fstat

    def coarse(fd: int) -> os.stat_result:
        found = real(fd)
        whole = int(found.st_mtime) - int(found.st_mtime) % 2
        os.utime(fd, (whole, whole))
        return real(fd)

    monkeypatch.setattr(file_clock.os, "fstat", coarse)
    assert clock_ahead_s(tmp_path) == 0.0
