"""`supervisor logs`: progress bars, endless lines, rotated files; no text steers a terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from supervisor.cli.show.log_view import LogView

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command, FakeRun


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True, as a terminal does."""
        return True


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 16])
@pytest.mark.parametrize(
    ("log", "shown"),
    [
        (b"one\ntwo\n", "one\ntwo\n"),
        (b"one\r\ntwo\r\n", "one\ntwo\n"),
        (b" 1/3\r 2/3\r 3/3\ndone", " 3/3\ndone\n"),
        (b"\r 1/3\r 2/3\r", " 2/3\n"),
        (b"\r\r\n", "\n"),
        (b"begun\r\r\r\nnext", "begun\nnext\n"),
        (b"\0\0\0step 1\0\n", "step 1\n"),
        (b"\x1b[31mred\x1b[0m\x1b]0;title\x07 \x9b\n", "red �\n"),
        (b"\x1b]0;no end\nnext\n", "\nnext\n"),
        ("größe\u202e\n".encode(), "größe\n"),
        (b"\n\n\n", "\n\n\n"),
        (b"", ""),
    ],
)
def test_what_is_shown_depends_on_no_block(log: bytes, shown: str, size: int) -> None:
    """Lines and a bar's last drawing are shown alike, however the bytes are divided."""
    out = io.StringIO()
    view = LogView(out, follows=False)
    for start in range(0, len(log), size):
        view.feed(log[start : start + size])
        view.settle()
    view.end()
    assert out.getvalue() == shown


def test_an_endless_line_is_shown_whole_in_constant_time() -> None:
    """Ten megabytes without a line end: no byte is lost, and none is processed twice."""
    out = io.StringIO()
    view, begun = LogView(out, follows=False), time.process_time()
    for _ in range(160):
        view.feed(b"a" * (1 << 16))
    view.feed(b"\rb\n")
    view.end()
    assert out.getvalue() == "a" * (160 << 16) + "\nb\n"
    assert time.process_time() - begun < 3.0


def test_a_bar_is_drawn_over_itself_on_a_terminal() -> None:
    """The line is cleared; a bar's cursor movements are removed."""
    out = Terminal()
    view = LogView(out, follows=True)
    for part in (b"\r1/9 \x1b[A", b"\r2/9", b"\r9/9\nend\n"):
        view.feed(part)
        view.settle()
    assert out.getvalue() == "1/9 \r\x1b[K2/9\r\x1b[K9/9\nend\n"


def test_a_line_that_grows_is_shown_as_it_grows() -> None:
    """A line without an end is shown at once; a control sequence may come in two parts."""
    out = io.StringIO()
    view = LogView(out, follows=True)
    for part in (b"work", b"ing \x1b[3", b"1mon it", b"\n"):
        view.feed(part)
        view.settle()
    assert out.getvalue() == "working on it\n"


def _follow(environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "supervisor", "logs", "-f"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_bar_is_followed(fake_run: FakeRun, environment: dict[str, str], tmp_path: Path) -> None:
    """A bar is followed in a pipe, too, though its line never ends."""
    fake_run.hold_lock()
    fake_run.paths.train_log.write_text("\r1/100")
    with _follow(environment, tmp_path) as logs:
        assert logs.stdout is not None
        assert logs.stdout.read(5) == "1/100"
        with fake_run.paths.train_log.open("a") as log:
            log.write("\r2/100")
        assert logs.stdout.read(6) == "\n2/100"
        fake_run.end()
        assert logs.wait(40) == 0
        assert logs.stdout.read() == "\n"


def test_a_renamed_log_is_followed_to_its_end(
    fake_run: FakeRun, environment: dict[str, str], tmp_path: Path
) -> None:
    """The trainer goes on to write to the renamed file; the next attempt has another file."""
    log = fake_run.paths.train_log
    log.write_text("one\n")
    writer = log.open("a")
    started = {"type": "attempt_started", "attempt": 1, "log_offset": 0}
    fake_run.record({**started, "log_inode": log.stat().st_ino})
    fake_run.write_status("running", attempt=1)
    fake_run.hold_lock()
    with _follow(environment, tmp_path) as logs, writer:
        assert logs.stdout is not None
        assert logs.stdout.readline() == "one\n"
        log.rename(log.with_name("train.log.1"))
        log.touch()
        print("two", file=writer, flush=True)
        assert logs.stdout.readline() == "two\n"
        log.write_text("of the next\n")
        fake_run.record({**started, "attempt": 2, "log_inode": log.stat().st_ino})
        fake_run.write_status("running", attempt=2)
        assert logs.stdout.readline() == "of the next\n"
        fake_run.end()
        assert logs.wait(40) == 0


def test_a_renamed_log_is_read(command: Command, fake_run: FakeRun) -> None:
    """Each attempt's lines are found under their file's new name; a missing file is reported."""
    log = fake_run.paths.train_log
    for attempt, text in ((1, "one\n"), (2, "two\n"), (3, "three\n")):
        offset = log.stat().st_size if log.exists() else 0
        with log.open("a") as file:
            file.write(text)
        entry = {"type": "attempt_started", "attempt": attempt, "log_offset": offset}
        fake_run.record({**entry, "log_inode": log.stat().st_ino})
        if attempt == 2:
            log.rename(log.with_name("train.log-20261128"))
    assert command("logs").stdout == "one\ntwo\nthree\n"
    assert command("logs", "--attempt", 1).stdout == "one\n"
    assert command("logs", "--attempt", 2).stdout == "two\n"
    assert command("logs", "--attempt", 3).stdout == "three\n"
    assert command("logs", "-n", 2).stdout == "two\nthree\n"
    log.with_name("train.log-20261128").unlink()
    refused = command("logs", "--attempt", 1)
    assert refused.returncode == 2
    assert "no longer exists" in refused.stderr


def test_the_last_lines_are_found_from_the_end(command: Command, fake_run: FakeRun) -> None:
    """The last lines are found even if one line is longer than a block."""
    fake_run.paths.train_log.write_bytes(b"first\n" + b"a" * (3 << 20) + b"\nlast\nopen")
    assert command("logs", "-n", 2).stdout == "last\nopen\n"
    assert len(command("logs", "-n", 3).stdout) == (3 << 20) + len("\nlast\nopen\n")
    assert command("logs", "-n", 0).stdout == ""


def test_a_log_that_only_a_process_has_is_read(command: Command, fake_run: FakeRun) -> None:
    """`rm train.log` under a trainer removes the name, not the output."""
    log = fake_run.paths.train_log
    sleeper = [sys.executable, "-c", "import sys; print('alive', flush=True); sys.stdin.read()"]
    with log.open("w") as file:
        trainer = subprocess.Popen(sleeper, stdin=subprocess.PIPE, stdout=file)
    try:
        deadline = time.monotonic() + 60
        while not log.stat().st_size and time.monotonic() < deadline:
            time.sleep(0.02)
        entry = {"type": "attempt_started", "attempt": 1, "log_offset": 0}
        fake_run.record({**entry, "log_inode": os.stat(log).st_ino})
        fake_run.write_status("running", attempt=1, pids={"trainer": trainer.pid})
        fake_run.hold_lock()
        log.unlink()
        assert command("logs").stdout == "alive\n"
    finally:
        trainer.communicate(b"")
