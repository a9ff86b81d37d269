"""Lines that a terminal, a pipe or a log takes at once; no write may wait."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.system.line_writer import LONGEST_BYTES, write_lines


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe, whose reading end never blocks."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def read_all(reader: int) -> bytes:
    """All bytes in a pipe."""
    data = b""
    try:
        while more := os.read(reader, 1 << 20):
            data += more
    except BlockingIOError:
        pass
    return data


def test_what_a_full_pipe_does_not_take_is_left_out_in_whole_lines(pipe: tuple[int, int]) -> None:
    """The number returned is that of the whole lines that a reader finds."""
    reader, writer = pipe
    lines = [f"{number} " + "x" * 1000 for number in range(200)]
    written = write_lines(writer, lines)
    assert 0 < written < 200
    assert write_lines(writer, ["no room"]) == 0
    assert read_all(reader).decode().splitlines() == lines[:written]
    assert write_lines(writer, lines[written : written + 3]) == 3
    assert read_all(reader).decode().splitlines() == lines[written : written + 3]


def test_a_full_pipe_that_others_made_non_blocking(pipe: tuple[int, int]) -> None:
    """EAGAIN does not mean a reader that has gone: later lines are written again."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    written = write_lines(writer, ["x" * 1000] * 200)
    assert 0 < written < 200
    assert read_all(reader).count(b"\n") == written
    assert write_lines(writer, ["now"]) == 1
    assert read_all(reader) == b"now\n"


def test_a_pipe_that_another_process_fills_after_the_look(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At EAGAIN between poll and write, only the lines written before it count."""
    reader, writer = pipe
    write, calls = os.write, iter([True, False])

    def contended(fd: int, data: bytes) -> int:
        if next(calls):
            return write(fd, data)
        raise BlockingIOError

    monkeypatch.setattr(os, "write", contended)
    assert write_lines(writer, ["x" * 3000, "y" * 3000]) == 1
    assert read_all(reader).count(b"\n") == 1


def test_a_write_that_takes_a_part_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """write(2) to a terminal or a file may return early."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    with (tmp_path / "job.out").open("wb", buffering=0) as file:
        assert write_lines(file.fileno(), ["first of all", "and then the second"]) == 2
    assert (tmp_path / "job.out").read_text() == "first of all\nand then the second\n"


def test_a_line_that_is_too_long_is_cut_and_ends(pipe: tuple[int, int]) -> None:
    """The line fits a pipe's atomic write and says that it was cut, and the next line is whole."""
    reader, writer = pipe
    fits = "y" * (LONGEST_BYTES - 1)
    assert write_lines(writer, ["x" * LONGEST_BYTES, fits, "next"]) == 3
    cut, whole, after = read_all(reader).decode().splitlines()
    assert cut == "x" * (LONGEST_BYTES - 5) + " ..."
    assert (whole, after) == (fits, "next")


def test_a_name_that_is_no_utf8_can_be_written(pipe: tuple[int, int]) -> None:
    """A file name's stray byte is shown as an escape, and raises nothing."""
    reader, writer = pipe
    assert write_lines(writer, [os.fsdecode(b"caf\xe9")]) == 1
    assert read_all(reader) == b"caf\\udce9\n"


def test_a_reader_that_has_gone_is_told(pipe: tuple[int, int]) -> None:
    """EPIPE reaches the caller, also if the pipe was full when its reader went."""
    reader, writer = os.pipe()
    write_lines(writer, ["x" * 1000] * 200)
    os.close(reader)
    try:
        with pytest.raises(BrokenPipeError):
            write_lines(writer, ["nobody reads"])
        assert write_lines(writer, []) == 0
    finally:
        os.close(writer)
