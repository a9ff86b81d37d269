"""An attempt's output is read to its end, whatever happens to the file's name meanwhile."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor.daemon.look.observer import Observer
from supervisor.daemon.look.printed_log import PrintedLog
from supervisor.daemon.look.progress import ProgressReader

# Prints the lines that it reads; `>PATH` redirects its output, as `exec >` in a shell does.
_TRAINER = """
import os, sys
for line in sys.stdin:
    if line.startswith(">"):
        os.dup2(os.open(line[1:].strip(), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    else:
        print(line, end="", flush=True)
    print("done", file=sys.stderr, flush=True)
"""


class Trainer:
    """A process that prints to a log that the launcher opened."""

    def __init__(self, log: Path) -> None:
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-uc", _TRAINER],
                stdin=subprocess.PIPE, stdout=file, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip

    def say(self, line: str) -> None:
        """Let it print a line, and wait until it has."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        print(line, file=self.process.stdin, flush=True)
        self.process.stderr.readline()

    def end(self) -> None:
        """Let it end, and wait for the end."""
        if self.process.returncode is None:
            self.process.communicate()


@contextmanager
def _training(log: Path) -> Iterator[Trainer]:
    trainer = Trainer(log)
    try:
        yield trainer
    finally:
        trainer.end()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with a line of the previous attempt."""
    path = tmp_path / "train.log"
    path.write_text("of the one before\n")
    return path


@contextmanager
def _observing(log: Path) -> Iterator[tuple[Trainer, PrintedLog, Observer]]:
    """A trainer, its log, and an observer that reads its steps."""
    reader = ProgressReader(r"step (?P<step>\d+)")
    printed = PrintedLog(log)
    with _training(log) as trainer:
        printed.begin(trainer.process.pid)
        pages = log.parent / "pages"
        observer = Observer(1, pages, printed, progress=reader, now=time.monotonic())
        yield trainer, printed, observer
    observer.close()
    printed.close()


def rename(log: Path) -> None:
    """Rotate the log as logrotate's `create` does."""
    log.rename(log.with_name("train.log.1"))
    log.touch()


@pytest.mark.parametrize("takes", [rename, Path.unlink, lambda log: log.rename(log.parent / "x")])
def test_a_log_that_is_moved_or_removed_is_read_on(log: Path, takes: object) -> None:
    """Step, growth and last words are still read from the file that the trainer writes."""
    with _observing(log) as (trainer, printed, observer):
        trainer.say("step 1")
        assert observer.look(1.0).observed.step == 1
        takes(log)  # type: ignore[operator]
        trainer.say("step 2")
        assert observer.look(2.0).observed.step == 2
        trainer.say("ValueError: the last word")
        trainer.end()
        assert observer.look(3.0).lines == ("ValueError: the last word",)
        assert printed.tail(1000) == b"step 1\nstep 2\nValueError: the last word\n"


def test_the_window_is_on_the_attempts_own_lines(log: Path) -> None:
    """Not on the attempt before, and around the last step however much follows."""
    printed = PrintedLog(log)
    with log.open("a") as file:
        file.write("step 7 loss 1.5\nKeyError: 'x'\n")
        file.writelines(f"[rank{n}]: NCCL watchdog {n} 0x{n:x}\n" for n in range(20_000))
    window = printed.window()
    assert window.lines[:2] == ("step 7 loss 1.5", "KeyError: 'x'")
    assert window.step == 7
    assert len(window.lines) < 100
    printed.close()


def test_a_later_daemon_finds_it_by_its_inode(log: Path) -> None:
    """It finds the log as the trainer's open file, or by inode beside its name after the end."""
    printed = PrintedLog(log)
    with _training(log) as trainer:
        printed.begin(trainer.process.pid)
        trainer.say("step 1")
        rename(log)
        adopted = PrintedLog(log, offset=printed.offset, inode=printed.inode)
        assert adopted.tail(1000) == b"step 1\n"
        log.with_name("train.log.1").unlink()
        removed = PrintedLog(log, offset=printed.offset, inode=printed.inode)
        assert removed.inode is None
        removed.begin(trainer.process.pid)
        trainer.say("step 2")
        assert removed.tail(1000) == b"step 1\nstep 2\n"
    for one in (printed, adopted, removed):
        one.close()


def test_a_trainer_that_leads_its_output_elsewhere_is_not_followed(log: Path) -> None:
    """`exec > other.log`: the daemon reads the run's train.log, not the other file."""
    with _observing(log) as (trainer, printed, observer):
        trainer.say(f">{log.parent / 'other.log'}")
        trainer.say("step 5")
        assert observer.look(1.0).observed.step is None
        rename(log)
        assert printed.where() == log


def test_a_trainer_that_opens_the_new_file_is_followed_there(log: Path) -> None:
    """A rotation made the trainer open the new file, and the daemon reads on there."""
    with _observing(log) as (trainer, _printed, observer):
        trainer.say("step 1")
        observer.look(1.0)
        rename(log)
        trainer.say(f">{log}")
        trainer.say("step 2")
        assert observer.look(2.0).observed.step == 2


def test_copytruncate_is_read_from_the_beginning(log: Path) -> None:
    """The same file is shorter, so it is read from its beginning."""
    with _observing(log) as (trainer, printed, observer):
        trainer.say("step 1")
        observer.look(1.0)
        os.truncate(log, 0)
        trainer.say("step 2")
        assert observer.look(2.0).observed.step == 2
        assert printed.tail(1000) == b"step 2\n"


def test_lines_of_the_next_attempt_are_not_the_last_words(log: Path) -> None:
    """The last words of an attempt end where the next attempt's output begins."""
    first = PrintedLog(log)
    with _training(log) as trainer:
        first.begin(trainer.process.pid)
        trainer.say("the last word")
    second = PrintedLog(log)
    with _training(log) as trainer:
        second.begin(trainer.process.pid)
        trainer.say("of the next")
    assert first.tail(1000, until=second) == b"the last word\n"
    assert second.tail(1000) == b"of the next\n"
    first.close()
    second.close()
