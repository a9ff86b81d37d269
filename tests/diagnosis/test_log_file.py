"""Whole log files: large, ugly and hostile ones, in bounded time and memory."""

import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.vocabulary import Failure
from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import ExitEvidence
from supervisor.diagnosis.log_file import diagnose_file
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.step_line import read_step
from supervisor.diagnosis.suspect_lines import TABLE

pytestmark = pytest.mark.timeout(180)

TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/job/train.py", line 88, in step\n    loss.backward()\n'
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.00 GiB.\n"
)


def test_a_cause_long_before_the_end_is_kept(tmp_path: Path) -> None:
    """The root cause is found even if 20,000 lines of other ranks follow it."""
    log = tmp_path / "train.log"
    with log.open("w") as stream:
        stream.writelines(f"step {n} loss 1.5\n" for n in range(5000))
        stream.write("".join(f"[rank5]: {line}\n" for line in TRACEBACK.splitlines()))
        stream.writelines(f"[rank{n % 64}]: RuntimeError: NCCL error {n}\n" for n in range(20000))
    tracemalloc.start()
    found = diagnose_file(log)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.failure, found.frame) == (Failure.CUDA_OUT_OF_MEMORY, "train.py:step")
    assert peak < 16 * 1024 * 1024


def test_one_endless_line_costs_no_memory(tmp_path: Path) -> None:
    """A line without an end is read in bounded memory, control sequences and all."""
    log = tmp_path / "train.log"
    with log.open("wb") as stream:
        for n in range(300):
            stream.write(b"\r\x1b[32m%d/300 [00:01<00:02]\xff\xfe" % n + b"x" * 65536)
        stream.write(b"\n" + TRACEBACK.encode())
    tracemalloc.start()
    found = diagnose_file(log)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.failure is Failure.CUDA_OUT_OF_MEMORY
    assert peak < 16 * 1024 * 1024


def test_whether_a_step_was_seen_is_read_from_the_log(tmp_path: Path) -> None:
    """The log, or the caller, shows whether an import error came before the first step."""
    log = tmp_path / "train.log"
    log.write_text("ModuleNotFoundError: No module named 'x'\n")
    assert diagnose_file(log).failure is Failure.CONFIGURATION
    assert diagnose_file(log, first_step_seen=True).failure is not Failure.CONFIGURATION
    log.write_text("step 1 loss 2\nModuleNotFoundError: No module named 'x'\n")
    assert diagnose_file(log).failure is not Failure.CONFIGURATION
    assert diagnose_file(log, offset=14).failure is Failure.CONFIGURATION
    assert diagnose_file(log, signal=9, first_step_seen=True).failure is Failure.KILLED


def test_an_empty_log_is_unknown(tmp_path: Path) -> None:
    """An empty log gives no diagnosis."""
    log = tmp_path / "train.log"
    log.touch()
    assert diagnose_file(log).failure is Failure.UNKNOWN


PIECES = [
    "a", " ", "\x1b[", "\x1b]0;", "[rank1]: ", "step 1 ", "loss ", "nan ", "1/", "9", "(", "'", "-",
    "NCCL error ", "gloo/transport ", "CUDA error: ", "unable to write /torch_ ", "Epoch 1 ", "| ",
    'File "', "Assertion ", ".cu:1: ", "ValueError.", "error: expected ", "+-", "might be ",
    "dataloader worker (pid(s) 1, ", "No such file or directory: ", "validation error ", "A.", "\t",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_hostile_megabyte_takes_no_time(piece: str) -> None:
    """No line makes a regular expression backtrack: a megabyte costs milliseconds."""
    line = piece * (1_000_000 // len(piece))
    begun = time.process_time()
    diagnose(ExitEvidence(1, None, [line] * 20, first_step_seen=True))
    assert time.process_time() - begun < 2.0


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.needles[0])
def test_no_row_back_tracks(row: object) -> None:
    """Each row's own needles, repeated up to the longest line, cause no backtracking."""
    for needle in row.needles:  # type: ignore[attr-defined]
        text = clean((needle + " ") * (2000 // (len(needle) + 1)))
        begun = time.process_time()
        row.search(text)  # type: ignore[attr-defined]
        assert time.process_time() - begun < 0.1


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.needles[0])
def test_needles_are_lower_case(row: object) -> None:
    """Needles are searched in lowered text, so a capital letter would never match."""
    assert all(needle == needle.lower() and needle for needle in row.needles)  # type: ignore[attr-defined]


def test_it_is_fast_enough_for_a_restart() -> None:
    """Two thousand lines and a traceback take far less time than a relaunch."""
    lines = [f"step {n} | loss 2.{n} | lr 1e-4 | 12.1 it/s" for n in range(2000)]
    lines += TRACEBACK.splitlines()
    ending = ExitEvidence(1, None, lines, first_step_seen=True)
    diagnose(ending)
    begun = time.process_time()
    diagnose(ending)
    assert time.process_time() - begun < 0.25


@given(
    st.lists(st.text() | st.lists(st.sampled_from(PIECES)).map("".join)),
    st.sampled_from([None, 0, 1, 2, 75, 127, 137, -1, 999]),
    st.sampled_from([None, 6, 9, 11, 15, 64, 99]),
)
@settings(max_examples=150, deadline=None)
def test_it_never_raises(lines: list[str], code: int | None, signal: int | None) -> None:
    """Any output has a diagnosis, and the evidence is bounded."""
    found = diagnose(ExitEvidence(code, signal, lines))
    assert found.reason
    assert len(found.evidence) <= 8


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("step 120 | loss 2.1", 120),
        ("iter 7: loss 3.1, time 20ms", 7),
        ("global_step=55 lr=1e-4", 55),
        ("{'step': 9, 'loss': 1.0}", 9),
        (" 12%|#2  | 120/1000 [00:10<01:13, 12.01it/s]", 120),
        ("Epoch 3:   5%|5 | 45/1000 [00:10<01:13]", 45),
    ],
)
def test_steps_are_seen(line: str, number: int) -> None:
    """The pattern knows the ways in which today's trainers print their steps."""
    mark = read_step(line)
    assert mark is not None
    assert mark.number == number


@pytest.mark.parametrize(
    "line",
    [
        "resuming from step 120",
        "save failed at step 120",
        "RuntimeError: bad shape at step 3",
        "wandb: train/global_step 500",
        "Loss became infinite or NaN at iteration=1002!",
        "hello",
    ],
)
def test_these_are_no_steps(line: str) -> None:
    """A step that is only mentioned proves no progress."""
    assert read_step(line) is None
