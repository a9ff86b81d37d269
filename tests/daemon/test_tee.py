"""The trainer's lines in the job's log: clean, in order, and the daemon waits for no reader."""

import os
from pathlib import Path

import pytest

from supervisor.daemon.tell.tee import Tee, is_wanted


def test_lines_go_through_without_control_sequences(tmp_path: Path) -> None:
    """Control sequences are removed; the rest is unchanged."""
    with (tmp_path / "job.out").open("wb", buffering=0) as file:
        Tee(file.fileno(), enabled=True).show(["step 1", "\x1b[31mstep 2\x1b[0m\x07"])
    assert (tmp_path / "job.out").read_text() == "step 1\nstep 2\n"


def test_a_reader_that_stalls_blocks_nobody() -> None:
    """Lines that a full pipe does not take are counted, and the count is printed later."""
    reader, writer = os.pipe()
    try:
        tee = Tee(writer, enabled=True)
        for number in range(200):
            tee.show([f"step {number} " + "x" * 1000] * 4)
        os.set_blocking(reader, False)
        taken = b""
        while True:
            try:
                taken += os.read(reader, 1 << 20)
            except BlockingIOError:
                break
        shown = taken.count(b"\n")
        assert 0 < shown < 800
        tee.show(["now"])
        said = os.read(reader, 4096).decode()
        assert said == f"[supervisor: {800 - shown} lines of train.log were left out here]\nnow\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_a_reader_that_has_gone_ends_it() -> None:
    """A reader that has gone ends the copy with EPIPE, never the run."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        Tee(writer, enabled=True).show(["a"])
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    ("tee", "environ", "wanted"),
    [
        (None, {}, False),
        (None, {"SLURM_JOB_ID": "1"}, True),
        (None, {"INVOCATION_ID": "a"}, True),
        (False, {"SLURM_JOB_ID": "1"}, False),
        (True, {}, True),
    ],
)
def test_when(tee: bool | None, environ: dict[str, str], wanted: bool) -> None:
    """By default lines are copied if the output is a job's log or the journal."""
    assert is_wanted(tee, environ) is wanted
