"""A log is followed through everything that people do to logs."""

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from supervisor.daemon.look.logtail import LINE_BYTES_MAX, READ_BYTES_MAX, LogTail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log's path; no file is there yet."""
    return tmp_path / "train.log"


def append(path: Path, data: bytes) -> None:
    """Append as a trainer does."""
    with path.open("ab") as file:
        file.write(data)


def test_it_waits_for_a_log(log: Path) -> None:
    """A missing file is no growth, and its first lines come when it appears."""
    tail = LogTail(log)
    assert tail.poll() == tail.poll()
    assert not tail.poll().grew
    append(log, b"one\ntwo\n")
    chunk = tail.poll()
    assert (chunk.lines, chunk.grew, chunk.bytes_read, chunk.offset) == (("one", "two"), True, 8, 8)
    assert not tail.poll().grew


def test_nothing_new_costs_one_stat(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without new bytes a poll calls stat once, and neither open nor read."""
    append(log, b"one\n")
    tail = LogTail(log)
    tail.poll()
    calls: list[str] = []
    real_stat = Path.stat
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", lambda self: calls.append("stat") or real_stat(self))
        for name in ("open", "read", "pread", "fstat", "lseek"):
            patch.setattr(os, name, lambda *_, name=name: calls.append(name))
        chunk = tail.poll()
    assert not chunk.grew
    assert calls == ["stat"]


def test_it_begins_where_it_is_told(log: Path) -> None:
    """A restarted daemon continues at its known offset; an offset beyond the end starts again."""
    append(log, b"one\ntwo\n")
    assert LogTail(log, offset=4).poll().lines == ("two",)
    assert LogTail(log, offset=8).poll().grew is False
    assert LogTail(log, offset=4000).poll().lines == ("one", "two")


def test_a_line_is_given_when_it_is_whole(log: Path) -> None:
    """Halves of lines, of characters and of CRLF are kept; the rest is available as `partial`."""
    tail = LogTail(log)
    encoded = "größe ok".encode()
    append(log, encoded[:4])
    chunk = tail.poll()
    assert (chunk.lines, chunk.grew) == ((), True)
    append(log, encoded[4:] + b"\r")
    assert tail.poll().lines == ()
    append(log, b"\nnext")
    assert tail.poll().lines == ("größe ok",)
    assert tail.partial() == "next"


def test_progress_bars_are_lines(log: Path) -> None:
    """Each drawing of a bar is a line, so that a step can be read from it."""
    append(log, b"\r 10%\r 20%\r 30%\nstep 4\r\n")
    assert LogTail(log).poll().lines == ("", " 10%", " 20%", " 30%", "step 4")


def test_bytes_that_are_no_text(log: Path) -> None:
    """Invalid UTF-8 is replaced, and NUL bytes are dropped."""
    append(log, b"a\xff\xfeb\n\0\0\0step 3\n")
    assert LogTail(log).poll().lines == ("a\ufffd\ufffdb", "step 3")


def test_a_truncated_log(log: Path) -> None:
    """After `> train.log` under the trainer, new lines are read from the beginning."""
    append(log, b"old one\nold two\nhalf")
    tail = LogTail(log)
    tail.poll()
    os.truncate(log, 0)
    append(log, b"new\n")
    assert tail.poll().lines == ("half", "new")
    append(log, b"more\n")
    assert tail.poll().lines == ("more",)


def test_a_log_truncated_and_grown_beyond(log: Path) -> None:
    """A copytruncate between two polls, followed by more bytes than before, loses no new line."""
    append(log, b"old one\n")
    tail = LogTail(log)
    tail.poll()
    os.truncate(log, 0)
    append(log, b"new one\nnew two\nnew three\n")
    assert tail.poll().lines == ("new one", "new two", "new three")


def test_a_rotated_log(log: Path) -> None:
    """The rest of the renamed file is read before the new file of its name."""
    append(log, b"one\n")
    tail = LogTail(log)
    tail.poll()
    append(log, b"two\nthr")
    log.rename(log.with_suffix(".1"))
    assert tail.poll().lines == ("two",)
    append(log.with_suffix(".1"), b"ee\n")
    assert tail.poll().lines == ("three",)
    append(log, b"four\n")
    assert tail.poll().lines == ("four",)
    assert tail.poll().offset == 5


def test_a_replaced_log(log: Path, tmp_path: Path) -> None:
    """If a larger file is renamed to the log's name, no line of either is lost or doubled."""
    append(log, b"one\n")
    tail = LogTail(log)
    tail.poll()
    append(log, b"late")
    append(tmp_path / "other", b"first\nsecond\n")
    (tmp_path / "other").rename(log)
    assert (*tail.poll().lines, *tail.poll().lines) == ("late", "first", "second")
    assert not tail.poll().grew


def test_an_endless_line_is_cut(log: Path) -> None:
    """The line's first 64 KiB are given once, and the next line is whole."""
    tail = LogTail(log)
    append(log, b"x" * (LINE_BYTES_MAX + 10))
    assert [len(line) for line in tail.poll().lines] == [LINE_BYTES_MAX]
    append(log, b"y" * 3 * LINE_BYTES_MAX)
    assert tail.poll().lines == ()
    append(log, b"z\nnext\n")
    assert tail.poll().lines == ("next",)
    assert tail.skipped_bytes == 10 + 3 * LINE_BYTES_MAX + 1
    append(log, b"w" * (LINE_BYTES_MAX + 5) + b"\nafter\n")
    assert [len(line) for line in tail.poll().lines] == [LINE_BYTES_MAX, 5]


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_far_behind_the_newest_lines_are_seen(log: Path, end: bytes) -> None:
    """Four times what a poll reads: the newest step is there, also in a bar without a newline."""
    append(log, b"before" + end)
    tail = LogTail(log)
    tail.poll()
    steps = [b"%7d/9999999 [00:10<01:13, 12.01it/s]" % n for n in range(4 * READ_BYTES_MAX // 38)]
    append(log, end.join(steps) + end)
    lines = [line for line in (*tail.poll().lines, tail.partial().rstrip("\r")) if line]
    assert lines == [step.decode() for step in steps[-len(lines) :]]
    assert len(lines) > 20_000
    assert tail.skipped_bytes > 2 * READ_BYTES_MAX


@pytest.mark.slow
def test_a_burst_of_a_gigabyte(log: Path) -> None:
    """One poll in constant memory gives the newest mebibyte, beginning with a whole line."""
    append(log, b"before\n")
    tail = LogTail(log)
    tail.poll()
    block = b"".join(b"step %07d of a loop gone wild\n" % number for number in range(30_000))
    with log.open("ab", buffering=0) as file:
        while file.tell() < 2**30:
            file.write(block)
        file.write(b"last words\n")
    tracemalloc.start()
    began = time.monotonic()
    chunk = tail.poll()
    took_s = time.monotonic() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert chunk.lines[-1] == "last words"
    assert all(line.startswith("step ") and line.endswith("wild") for line in chunk.lines[:-1])
    assert chunk.bytes_read == READ_BYTES_MAX
    assert tail.skipped_bytes >= 2**30 - READ_BYTES_MAX
    assert peak < 16 * 2**20
    assert took_s < 2
    assert not tail.poll().grew


def test_odd_files_are_survived(log: Path) -> None:
    """A directory or a FIFO gives no lines, and a log in its place does."""
    log.mkdir()
    tail = LogTail(log)
    assert tail.poll().lines == ()
    log.rmdir()
    os.mkfifo(log)
    assert tail.poll().lines == ()
    log.unlink()
    append(log, b"at last\n")
    assert (*tail.poll().lines, *tail.poll().lines) == ("at last",)
    tail.close()
    append(log, b"and on\n")
    assert tail.poll().lines == ("and on",)
