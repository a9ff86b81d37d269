"""Tables of metrics that libraries write: what is read of them, and whose they are."""
# ruff: noqa: E501 -- a table of lines and what they say

import os
import time
from pathlib import Path

import pytest

from supervisor.checkpoint.records import Known
from supervisor.daemon.look.metrics_file import PAUSE_S, TABLES, MetricsFile, read_table
from supervisor.daemon.look.printed_course import NOTHING_PRINTED, Course
from supervisor.daemon.look.surveyor import Surveyor
from supervisor.system import mounts
from supervisor.system.clock import monotonic_s

PRINTED = Path(__file__).with_name("printed")
LIGHTNING, ULTRALYTICS = TABLES
HEADER = "epoch,step,train_loss,val_loss\n"
ROW = HEADER + "0,9,0.5,\n"


def metrics_file(tmp_path: Path, *, began_s_ago: float = 60.0) -> MetricsFile:
    """The table of an attempt whose checkpoints are in `ckpt`."""
    surveyor = Surveyor(tmp_path / "ckpt", tmp_path / "shm", run_id="r", existing=None, memory={})
    return MetricsFile(surveyor, begun_at=monotonic_s() - began_s_ago)


def looked(followed: MetricsFile, at: float = 1.0) -> Course:
    """What a look says, without pace. The trainer works in this process's directory."""
    return followed.look(os.getpid(), at)._replace(step_rate=None)


def write(path: Path, text: str) -> Path:
    """A table with this text, in folders made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, newline="")
    return path


def test_the_table_of_lightning() -> None:
    """Written by 2.6.6: the last line is a validation's, so the loss is the one before it."""
    course = read_table(PRINTED / "lightning_metrics.csv", LIGHTNING)
    assert course == Course(step=35, epoch=2, loss=9.37564754486084, file="metrics.csv")


def test_the_table_of_ultralytics() -> None:
    """Written by 8.4.190: epochs alone, and the sum of the three losses of the last one."""
    course = read_table(PRINTED / "ultralytics_results.csv", ULTRALYTICS)
    assert course == Course(epoch=3, loss=43.53519, file="results.csv")


@pytest.mark.parametrize(
    ("text", "course"),
    [
        (HEADER, None),
        ("epoch,st", None),
        ("", None),
        ("name,value\na,1\n", None),
        # The last line is half written, and a value of the line before is not a number.
        (HEADER + "0,9,0.5,\n0,19,0.4,\n0,2", Course(step=19, epoch=0, loss=0.4)),
        (HEADER + "0,9,0.5,\n0,19,x,\n", Course(step=19, epoch=0, loss=0.5)),
        # The header was written anew, with a column more, while it was read.
        (HEADER + "0,9,0.5,\n0,19,0.4,,7\n", Course(step=9, epoch=0, loss=0.5)),
        ("step,val_loss\n5,0.5\n", Course(step=5)),
        ("epoch,step,train_loss_epoch,train_loss_step\n0,9,,0.5\n0,19,0.4,\n", Course(step=19, epoch=0, loss=0.4)),
        ('epoch,"a,b",step,loss\n0,1,9,nan\n', Course(step=9, epoch=0, loss=float("nan"))),
        ("epoch,step,loss\n-1,9,1\n", Course(step=9, loss=1.0)),
        # Python's reader of tables refuses a CR inside a line.
        ("epoch,step\rx,loss\n0,9,0.5\n", None),
        ("epoch,step\r\r\n0,9\r\r\n", Course(step=9, epoch=0)),
        ("epoch,step\r\n0,9\r\n", Course(step=9, epoch=0)),
        ("epoch,step,loss\n0,9,0.5\n0,1\r9,0.4\n", Course(step=9, epoch=0, loss=0.5)),
    ],
)  # fmt: skip
def test_lines_of_a_table(tmp_path: Path, text: str, course: Course | None) -> None:
    """Whole lines with as many values as the header, and nothing else."""
    found = read_table(write(tmp_path / "metrics.csv", text), LIGHTNING)
    expected = None if course is None else course._replace(file="metrics.csv")
    assert repr(found) == repr(expected)


def test_old_columns_with_blanks(tmp_path: Path) -> None:
    """ultralytics wrote its columns right-aligned until 8.3."""
    text = (
        "      epoch,      train/box_loss,      train/cls_loss\n          7,     1.5,      0.25\n"
    )
    found = read_table(write(tmp_path / "results.csv", text), ULTRALYTICS)
    assert found == Course(epoch=7, loss=1.75, file="results.csv")


def test_a_long_table_is_read_at_its_end(tmp_path: Path) -> None:
    """No line is taken that the reading cut, and a look costs the same whatever the length."""
    rows = "".join(f"{step // 1000},{step},0.{step},\n" for step in range(200_000))
    path = write(tmp_path / "metrics.csv", HEADER + rows)
    begun = time.process_time()
    for _ in range(20):
        found = read_table(path, LIGHTNING)
    # Every ten seconds that is less than 0.03 % of a core.
    assert (time.process_time() - begun) / 20 < 0.003
    assert found == Course(step=199_999, epoch=199, loss=0.199999, file="metrics.csv")


def test_other_kinds_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifo, a link and a directory are passed over, and none of them is waited for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ckpt").mkdir()
    os.mkfifo(tmp_path / "ckpt" / "metrics.csv")
    (tmp_path / "ckpt" / "results.csv").symlink_to(PRINTED / "ultralytics_results.csv")
    write(tmp_path / "lightning_logs" / "version_0" / "metrics.csv" / "x", "")
    assert looked(metrics_file(tmp_path)) == NOTHING_PRINTED


def test_where_a_table_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the checkpoints' folder or above it, and in `lightning_logs` where the trainer works."""
    monkeypatch.chdir(tmp_path)
    followed = metrics_file(tmp_path)
    assert looked(followed) == NOTHING_PRINTED
    write(tmp_path / "lightning_logs" / "version_0" / "metrics.csv", HEADER + "0,9,0.5,\n")
    assert looked(followed) == NOTHING_PRINTED, "looked again before it was time"
    assert looked(followed, 1.0 + PAUSE_S).step == 9
    below = tmp_path / "ckpt" / "runs" / "train"
    followed._surveyor.recorded._known["x"] = Known(str(below / "weights" / "last.pt"), "", 1, 0.0)
    write(below / "results.csv", "epoch,train/loss\n4,0.5\n")
    os.utime(below / "results.csv", (time.time() + 1, time.time() + 1))
    assert looked(followed, 1.0 + 2 * PAUSE_S) == Course(epoch=4, loss=0.5, file="results.csv")


def test_tables_of_other_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One from before the attempt is another's, and with two new versions it is not known whose."""
    monkeypatch.chdir(tmp_path)
    old = write(tmp_path / "lightning_logs" / "version_0" / "metrics.csv", HEADER + "0,9,0.5,\n")
    os.utime(old, (time.time() - 120, time.time() - 120))
    assert looked(metrics_file(tmp_path)) == NOTHING_PRINTED
    write(tmp_path / "lightning_logs" / "version_1" / "metrics.csv", HEADER + "0,19,0.5,\n")
    assert looked(metrics_file(tmp_path)).step == 19
    write(tmp_path / "lightning_logs" / "version_2" / "metrics.csv", HEADER + "0,29,0.5,\n")
    assert looked(metrics_file(tmp_path)) == NOTHING_PRINTED


@pytest.mark.parametrize(
    ("remote", "is_link", "is_read"),
    [("elsewhere", False, True), ("work", False, False), (".", False, True), ("far", True, False)],
)
def test_a_server_that_may_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: str, *, is_link: bool, is_read: bool
) -> None:
    """A working directory there is not looked into, unless the checkpoints are there as well."""
    logs = tmp_path / "work" / "lightning_logs"
    write(tmp_path / ("far" if is_link else "work/lightning_logs") / "version_0/metrics.csv", ROW)
    logs.parent.mkdir(exist_ok=True)
    if is_link:
        logs.symlink_to("../far")
    monkeypatch.chdir(logs.parent)
    points = frozenset({Path("/"), tmp_path / remote})
    monkeypatch.setattr(mounts, "mount_points", lambda: points)
    monkeypatch.setattr(mounts, "remote_mount_points", lambda: points - {Path("/")})
    assert (looked(metrics_file(tmp_path)).step == 9) is is_read


def test_the_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps a second between two readings of a table that has grown."""
    monkeypatch.chdir(tmp_path)
    followed = metrics_file(tmp_path)
    table = write(tmp_path / "ckpt" / "metrics.csv", HEADER + "0,10,0.5,\n")
    followed.look(None, 0.0)
    write(table, HEADER + "0,10,0.5,\n0,60,0.5,\n")
    assert followed.look(None, PAUSE_S).step_rate == pytest.approx(50 / PAUSE_S)


def test_many_versions_are_looked_at_cheaply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A working directory of a year's trainings: less than 0.1 % of a core."""
    monkeypatch.chdir(tmp_path)
    for number in range(2000):
        write(tmp_path / "lightning_logs" / f"version_{number}" / "hparams.yaml", "")
    followed = metrics_file(tmp_path)
    begun = time.process_time()
    for look in range(10):
        followed.look(os.getpid(), look * PAUSE_S)
    assert (time.process_time() - begun) / 10 < 0.001 * PAUSE_S
