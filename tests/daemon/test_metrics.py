"""The metrics file: its text, when it is written, and what stays of it."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.core.entries.attempt import AttemptEndedEntry, AttemptStartedEntry
from supervisor.core.entries.run import IncidentEntry
from supervisor.core.metered_status import AtRiskStatus, GpuStatus
from supervisor.core.notify_status import NotifyStatus
from supervisor.core.save_interval_status import SaveIntervalStatus
from supervisor.core.status import BudgetStatus, CheckpointStatus, GoodputStatus, Status
from supervisor.core.vocabulary import Failure, RunState
from supervisor.daemon.run import Run
from supervisor.daemon.tell.metrics_file import MetricsTextfile
from supervisor.daemon.tell.metrics_text import METRICS, PREFIX, metrics_text
from supervisor.daemon.tell.tally import Tally
from supervisor.rundir.metrics_path import metrics_path
from supervisor.system.clock import monotonic_s

PATIENCE_S = 90.0
Make = Callable[[Path | None], MetricsTextfile]

WHOLE = Status(
    run="gpt", run_id="ab12", state=RunState.RUNNING, attempt=3, restarts_by_failure=(("hang", 2),),
    incidents=2, attached=True, heartbeat_age_s=0.5, log_age_s=70.0, step=1200, total=5000,
    loss=2.5, step_rate=4.0, checkpoint=CheckpointStatus("c", 1000, "regular", 50.0),
    at_risk=AtRiskStatus(200, 50.0), last_save_s=1.5, gpus=(GpuStatus(0, 0.97, 1 << 30, 1 << 36),),
    budget=BudgetStatus(2, 5, 2, 50), goodput=GoodputStatus(0.9, 1.0, 90.0, 9.0, total_s=100.0),
    host="node1", run_dir="/runs/gpt", notify=NotifyStatus(sent=4, failed=1),
    save_interval=SaveIntervalStatus(present_s=600.0, best_s=720.5, save_s=0.1),
)  # fmt: skip


def series(text: str) -> dict[str, float]:
    """The value of each series, without the labels of the run."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    pairs = [line.rsplit(" ", 1) for line in lines]
    return {
        name.replace('run="gpt",run_id="ab12"', "").replace("{,", "{").replace("{}", ""): float(at)
        for name, at in pairs
    }


def test_each_metric_has_a_value_in_a_whole_status() -> None:
    """Each is there with its help and type, and the values are the status's."""
    text = metrics_text(WHOLE)
    for metric in METRICS:
        assert f"# HELP {PREFIX}{metric.name} " in text
        assert f"# TYPE {PREFIX}{metric.name} {metric.type}\n" in text
    said = series(text)
    assert said[f'{PREFIX}state{{state="running"}}'] == 1
    assert said[f'{PREFIX}state{{state="held"}}'] == 0
    assert said[f'{PREFIX}restarts_total{{failure="hang"}}'] == 2
    assert said[f"{PREFIX}step_seconds"] == 0.25
    assert said[f"{PREFIX}sign_of_life_age_seconds"] == 0.5
    assert said[f'{PREFIX}budget_left{{budget="row"}}'] == 3
    assert said[f"{PREFIX}messages_failed_total"] == 1
    assert said[f"{PREFIX}save_interval_seconds"] == 600
    assert said[f"{PREFIX}best_save_interval_seconds"] == 720.5
    assert said[f'{PREFIX}gpu_memory_bytes{{gpu="0"}}'] == 1 << 36
    assert said[f'{PREFIX}time_seconds{{part="training"}}'] == 90


def test_what_is_not_known_is_left_out() -> None:
    """No line says nan, none or 0 for a value that is missing."""
    said = series(metrics_text(Status(run="gpt", run_id="ab12", state=RunState.LAUNCHING)))
    assert f"{PREFIX}loss" not in said
    assert f"{PREFIX}step" not in said
    assert f'{PREFIX}time_seconds{{part="training"}}' not in said


def test_the_last_text_keeps_state_and_counts_alone() -> None:
    """Ages, loss and GPUs of a run that has ended would be stale for ever."""
    said = series(metrics_text(WHOLE, is_last=True))
    names = {name.partition("{")[0].removeprefix(PREFIX) for name in said}
    assert names == {metric.name for metric in METRICS if metric.lasts}
    assert not {name for name in names if "_age_" in name or "gpu" in name or name == "loss"}


@pytest.mark.parametrize("path", ['a "b"', "a\\b", "a\nb", "a\udcffb"])
def test_labels_are_escaped(path: str) -> None:
    """A path may hold quotes, line breaks and bytes that are no text."""
    text = metrics_text(Status(run="gpt", run_id="ab12", run_dir=path))
    (line,) = [line for line in text.splitlines() if line.startswith(f"{PREFIX}info")]
    text.encode()
    assert line.endswith("} 1")
    assert line.count('"') - 2 * line.count('\\"') >= 12


def run_into(directory: Path | None) -> Run:
    """As much of a run as the file needs."""
    metrics = SimpleNamespace(textfile=None if directory is None else str(directory))
    config = SimpleNamespace(metrics=metrics, name="gpt/2")
    return cast("Run", SimpleNamespace(config=config, run_id="ab12", tally=Tally()))


@pytest.fixture
def metrics_files() -> Iterator[Make]:
    """Makes metrics files, and ends their children."""
    with ExitStack() as stack:

        def make(directory: Path | None) -> MetricsTextfile:
            file = MetricsTextfile(run_into(directory))
            stack.callback(file.close)
            return file

        yield make


def show(file: MetricsTextfile, now: float) -> None:
    """Show the status, and wait for the child."""
    assert file.writer is not None
    file.show(WHOLE, now)
    file.writer.wait(monotonic_s() + PATIENCE_S)


def test_it_is_written_every_ten_seconds_at_most(tmp_path: Path, metrics_files: Make) -> None:
    """Others may read it, nothing lies beside it, and the last one comes at once."""
    file = metrics_files(tmp_path)
    show(file, 100.0)
    (path,) = tmp_path.iterdir()
    assert path == metrics_path(tmp_path, "gpt/2", "ab12")
    assert path.stat().st_mode & 0o777 == 0o644
    path.unlink()
    show(file, 109.0)
    assert not list(tmp_path.iterdir())
    show(file, 110.0)
    assert path.exists()
    file.show(WHOLE, 111.0, is_last=True)
    assert f"{PREFIX}loss" not in path.read_text()


def test_without_the_key_nothing_is_written(tmp_path: Path, metrics_files: Make) -> None:
    """No file, no child and no warning."""
    file = metrics_files(None)
    file.show(WHOLE, 100.0, is_last=True)
    assert file.writer is None
    assert file.warning is None
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_missing_is_a_warning_until_it_is_there(
    tmp_path: Path, metrics_files: Make
) -> None:
    """The run goes on."""
    file = metrics_files(tmp_path / "later")
    show(file, 100.0)
    assert "No such file or directory" in str(file.warning)
    (tmp_path / "later").mkdir()
    show(file, 110.0)
    assert file.warning is None


def test_a_stage_of_a_killed_daemon_is_no_hindrance(tmp_path: Path, metrics_files: Make) -> None:
    """Also where its pid has come again."""
    path = metrics_path(tmp_path, "gpt/2", "ab12")
    stage = tmp_path / f".{path.stem}.{os.getpid()}"
    stage.write_text("half")
    show(metrics_files(tmp_path), 100.0)
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_does_not_end_is_a_warning_and_no_second_one_begins(
    tmp_path: Path, metrics_files: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child is frozen: nothing waits for it but the end, and that not for long."""
    monkeypatch.setattr("supervisor.daemon.tell.metrics_file.LAST_WAIT_S", 0.2)
    file = metrics_files(tmp_path)
    show(file, 100.0)
    (path,) = tmp_path.iterdir()
    path.unlink()
    assert file.writer is not None
    pid = file.writer.child_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    file.show(WHOLE, 110.0)
    assert file.warning is None
    file.show(WHOLE, 130.0)
    assert "the file system does not answer" in str(file.warning)
    file.show(WHOLE, 140.0, is_last=True)
    assert file.writer.child_pid == pid
    os.kill(pid, signal.SIGCONT)
    file.writer.wait(monotonic_s() + PATIENCE_S)
    assert file.warning is None
    assert f"{PREFIX}loss" in path.read_text()


def test_a_writer_that_was_killed_is_started_again(tmp_path: Path, metrics_files: Make) -> None:
    """A warning says so until then."""
    file = metrics_files(tmp_path)
    show(file, 100.0)
    assert file.writer is not None
    assert file.writer.child_pid is not None
    os.kill(file.writer.child_pid, signal.SIGKILL)
    show(file, 110.0)
    assert "the process that writes them has ended" in str(file.warning)
    show(file, 120.0)
    assert file.warning is None


def started(attempt: int) -> AttemptStartedEntry:
    """The start of an attempt."""
    return AttemptStartedEntry(attempt=attempt)


def test_restarts_are_counted_by_the_failure_before_them() -> None:
    """A stop is no failure, and a failure that led to no restart is none."""
    tally = Tally()
    entries: list[Any] = [
        started(1),
        AttemptEndedEntry(attempt=1, failure=Failure.HANG),
        IncidentEntry(id=1),
        started(2),
        AttemptEndedEntry(attempt=2),
        started(3),
        AttemptEndedEntry(attempt=3, failure=Failure.SEGFAULT),
    ]
    for entry in entries:
        tally.note(entry)
    assert tally.restarts == (("hang", 1), ("none", 1))
    assert tally.incidents == 1
