"""A process that trained in main's place decides how the attempt ended."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.daemon.look.left_behind import _is_service, as_its_end
from supervisor.launcher.messages import ExitedReport, LeftEnd
from supervisor.system.procfs import read_process

CLEAN, DEAD, KILLED = (
    LeftEnd(pid=1, code=0),
    LeftEnd(pid=2, code=7),
    LeftEnd(pid=3, signal=9),
)


@pytest.mark.parametrize(
    ("ended", "trainers", "trained", "expected"),
    [
        ([KILLED], {3}, True, (None, 9)),
        ([CLEAN], {1}, True, (0, None)),
        # A logger's service that failed did not train.
        ([CLEAN, DEAD], {1}, True, (0, None)),
        ([CLEAN, DEAD], {1, 2}, True, (7, None)),
        # The daemon that had looked at them is gone.
        ([CLEAN, KILLED], set(), True, (None, 9)),
        # No training was seen: a single process that might have trained, and failed, decides.
        ([DEAD], {2}, False, (7, None)),
        ([DEAD], set(), False, (0, None)),
        ([CLEAN, DEAD], {1, 2}, False, (0, None)),
        ([CLEAN], {1}, False, (0, None)),
        ([], set(), False, (0, None)),
    ],
)
def test_how_it_ended(
    ended: list[LeftEnd],
    trainers: set[int],
    trained: bool,
    expected: tuple[int | None, int | None],
) -> None:
    """The exit code is the trainer's, if the launcher saw it."""
    report = ExitedReport(attempt=1, code=0, monotonic=1.0, left_ended=tuple(ended))
    found = as_its_end(report, frozenset(trainers), trained=trained)
    assert (found.code, found.signal) == expected


@pytest.mark.parametrize("told", [{"left_ended": []}, {"left_ended": None}, {}])
def test_an_end_that_nobody_saw_is_said_to_be_so(told: dict[str, Any]) -> None:
    """The launcher saw no end: another process was the parent, or the launcher is older."""
    report = ExitedReport.from_json({"attempt": 1, "code": 0, "monotonic": 1.0, **told})
    assert as_its_end(report, frozenset(), trained=True).is_unseen


@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        ("train.py", ["top", "tensorboard"], False),
        ("tensorboard", ["--logdir", "x"], True),
        ("train.py", [], False),
    ],
)
def test_a_service_is_known_by_its_program_and_by_no_argument(
    script: str, arguments: list[str], expected: bool, tmp_path: Path
) -> None:
    """A training that is told to use TensorBoard is not a service."""
    (tmp_path / script).write_text("print(flush=True); import time; time.sleep(600)")
    command = [sys.executable, "-u", str(tmp_path / script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            found = read_process(process.pid)
            assert found is not None
            assert _is_service(found) is expected
        finally:
            process.kill()
