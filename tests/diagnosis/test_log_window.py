"""The lines that a diagnosis sees of a log of any size, read from its end."""

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.vocabulary import Failure
from supervisor.diagnosis import log_blocks, step_search
from supervisor.diagnosis.line_prefix import split_prefix
from supervisor.diagnosis.log_blocks import blocks_from_end
from supervisor.diagnosis.log_file import diagnose_file
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.log_window import BEFORE_LINES, read_window
from supervisor.diagnosis.repeats import COPIES_MAX, without_repeats
from supervisor.diagnosis.step_line import read_step
from supervisor.diagnosis.step_search import StepSearch
from tests.diagnosis.test_step_line import STEPS

pytestmark = pytest.mark.timeout(120)

TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/job/train.py", line 88, in step',
    "    loss.backward()",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.00 GiB.",
]


def reader(data: bytes) -> Callable[[int, int], bytes]:
    """Reads at offsets, as of a file with this content."""
    return lambda at, count: data[at : at + count]


class Endless:
    """A log of 2 GB that is one text again and again; it counts what is read."""

    size = 2_000_000_000

    def __init__(self, text: bytes, end: bytes = b"") -> None:
        self._text, self._end = text, end
        self.bytes_read = 0

    def __call__(self, at: int, count: int) -> bytes:
        count = min(count, self.size - at)
        self.bytes_read += count
        begin = at % len(self._text)
        body = (self._text * (count // len(self._text) + 2))[begin : begin + count]
        left = self.size - len(self._end) - at
        return body if left >= count else body[: max(left, 0)] + self._end[max(-left, 0) :]


def watchdog(rank: int) -> list[str]:
    """What torch prints for one rank whose peers are gone."""
    return [
        f"[rank{rank}]:[E314 01:{rank % 60:02}:09.{rank:06} ProcessGroupNCCL.cpp:632]"
        f" [Rank {rank}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7753,"
        f" OpType=ALLREDUCE, Timeout(ms)=600000) ran for 600{rank} milliseconds before timing out.",
        "Exception raised from checkTimeout at ../torch/csrc/ProcessGroupNCCL.cpp:632 (most recent"
        " call first):",
        *(
            f"frame #{n}: c10d::ProcessGroupNCCL::watchdogHandler() + 0x{rank + n:x}"
            f" (0x7f{rank:010x} in /opt/lib/libtorch_cuda.so)"
            for n in range(60)
        ),
        "",
    ]


def rank(number: int, lines: list[str]) -> list[str]:
    """The lines as torchrun labels them."""
    return [f"[default{number}]:{line}" for line in lines]


def window_of(lines: list[str]) -> list[str]:
    """The window on these lines."""
    data = "".join(line + "\n" for line in lines).encode()
    return list(read_window(reader(data), 0, len(data)).lines)


LINES = [
    "", "hello", "step 5 loss 2.0", "step 7 | loss 1.0", "  0%|  | 0/9 [00:00<?, ?it/s]",
    *TRACEBACK,
    " 12%|#  | 12/90 [00:10<01:13, 1.0it/s]", "Map:  45%|##  | 4/9 [00:04<00:05, 9.1 examples/s]",
    "{'loss': 0.5}", "save failed at step 12", "größe ─ ok", "frame #3: c10 + 0x1", "x" * 40,
    "Epoch [1][5/9]", "Train: 0 [  50/1251 (  4%)]  Loss: 6.9", "it 5: loss 2.1",
    "wandb: step 12", "Epoch 0/9 ━━━━ 3/18 0:00:01", "12/Unknown 3s 6ms/step",
]  # fmt: skip


def plain(data: bytes) -> tuple[list[str], int | None]:
    """The same window, read forward: all lines, the last step, and lines before it."""
    pieces = re.split(rb"\r\n|\n|\r", data)
    lines = [piece.decode() for piece in (pieces if pieces[-1] else pieces[:-1])]
    marks = [read_step(split_prefix(clean(line)).body) for line in lines]
    last = max((at for at, mark in enumerate(marks) if mark is not None), default=None)
    if last is None:
        return lines, None
    numbers = [mark.number for mark in marks if mark is not None and mark.kind == "step"]
    before = without_repeats(lines[: last + 1])[-BEFORE_LINES:]
    return [*before, *lines[last + 1 :]], numbers[-1] if numbers else None


@given(
    st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(["\n", "\n", "\r\n", "\r"]))),
    st.booleans(),
    st.integers(8, 200),
)
@settings(max_examples=200, deadline=None)
def test_it_equals_a_forward_reading(
    lines: list[tuple[str, str]], is_ended: bool, block: int
) -> None:
    """Whatever the blocks' borders cut, the same lines and the same step are seen."""
    text = "".join(line + end for line, end in lines)
    data = (text if is_ended else text.rstrip("\r\n")).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_blocks, "_FIRST_BLOCK_BYTES", block)
        patch.setattr(log_blocks, "_BLOCK_BYTES", 2 * block)
        found = read_window(reader(data), 0, len(data))
        blocks = list(blocks_from_end(reader(data), 0, len(data)))
        patch.setattr(step_search, "_CROWD", 0)
        in_crowd = read_window(reader(data), 0, len(data))
    assert b"".join(part for _, part in reversed(blocks)) == data
    assert all(data[at : at + len(part)] == part for at, part in blocks)
    assert found == in_crowd
    assert (list(found.lines), found.step) == plain(data)


def test_it_begins_where_the_attempt_begins() -> None:
    """Lines of the attempt before are not seen, nor its steps."""
    data = b"step 1 loss 2\nRuntimeError: old\nhello\n"
    found = read_window(reader(data), data.index(b"hello"), len(data))
    assert (found.lines, found.step) == (("hello",), None)


@pytest.mark.parametrize(
    "text",
    [
        b"an ordinary line of prose that speaks of a step, of iterations and of loss\n",
        b"\rMap:  45%|####5     | 405/900 [00:04<00:05, 9120.11 examples/s]",
        b"x",
        b"\n",
        b"\0",
        b"\xff\xfe\r",
        b"step by step 3 of them go on\n",
        b"RuntimeError: step 3 failed\n",
    ],
)
def test_a_log_of_two_gigabytes_is_read_in_part(
    text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a step the search ends; the last lines are there, and there are not too many."""
    monkeypatch.setattr(step_search, "SEARCH_BYTES_MAX", 8 << 20)
    log = Endless(text, b"\nRuntimeError: the end\n")
    found = read_window(log, 0, log.size)
    assert found.lines[-1] == "RuntimeError: the end"
    assert len(found.lines) <= 5000
    assert log.bytes_read < 16 << 20


def test_the_search_ends_after_64_mebibytes() -> None:
    """A step further back is not looked for: a verdict would take seconds."""
    log = Endless(b"an ordinary line of prose that speaks of a step, of iterations and of loss\n")
    read_window(log, 0, log.size)
    assert 64 << 20 <= log.bytes_read < 72 << 20


def test_a_bar_without_a_line_end_is_read_at_its_end() -> None:
    """The newest drawing is the last step: hardly anything is read."""
    log = Endless(b"\r 12%|#2  | 120/1000 [00:10<01:13, 12.01it/s]", b"\rRuntimeError: the end")
    found = read_window(log, 0, log.size)
    assert found.lines[-1] == "RuntimeError: the end"
    assert log.bytes_read < 1_000_000


@pytest.mark.parametrize("text", [b"a line of prose\n", b"\r1%| x", b"x", b"\n", b"error: a 1\n"])
def test_memory_is_bounded(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far below what is read."""
    monkeypatch.setattr(step_search, "SEARCH_BYTES_MAX", 8 << 20)
    log = Endless(text)
    tracemalloc.start()
    read_window(log, 0, log.size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20


def test_a_file_that_is_truncated_meanwhile() -> None:
    """Short reads are the file's end; nothing is raised."""
    assert read_window(lambda _at, _count: b"", 0, 5_000_000).lines == ()
    data = b"step 1 loss 2\nhello\n" * 1000
    short = read_window(lambda at, count: data[: len(data) // 2][at : at + count], 0, len(data))
    assert "hello" in short.lines


@pytest.mark.parametrize("is_labelled", [False, True])
@pytest.mark.parametrize("steps_of_peers", [0, 1, 2])
def test_watchdogs_of_256_ranks_push_no_cause_out(
    tmp_path: Path, is_labelled: bool, steps_of_peers: int
) -> None:
    """Sixty frames a rank, twice, and steps that peers still print."""
    cause = rank(5, TRACEBACK) if is_labelled else TRACEBACK
    lines = [*(f"step {n} loss 1.5" for n in range(5000)), *cause]
    for n in range(256):
        lines += rank(n, watchdog(n)) if is_labelled else watchdog(n)
        if n in (3, 9)[:steps_of_peers]:
            lines.append(f"step {5000 + n} loss 1.5")
    lines += [line for n in range(256) for line in watchdog(n)]
    seen = window_of(lines)
    at = seen.index(cause[0])
    assert seen[at : at + len(cause)] == cause
    assert any("SeqNum" in line for line in seen[at:])
    if steps_of_peers == 0:
        log = tmp_path / "train.log"
        log.write_text("\n".join(lines))
        found = diagnose_file(log, code=1)
        assert (found.failure, found.frame) == (Failure.CUDA_OUT_OF_MEMORY, "train.py:step")


def prose(count: int) -> list[str]:
    """Ordinary lines that differ in more than numbers."""
    letters = str.maketrans("01", "oi")
    return [f"a word {at:b} of no meaning".translate(letters) for at in range(count)]


@pytest.mark.parametrize("count", [6_000, 30_000, 100_000])
def test_a_cause_in_the_middle_is_kept(count: int) -> None:
    """Between the first and the last lines are those that may matter."""
    lines = ["step 1 loss 2", *prose(count)]
    lines[3000:3000] = TRACEBACK
    lines[count // 2 : count // 2] = ["OSError: [Errno 28] No space left on device"]
    seen = window_of(lines)
    assert len(seen) <= 5000
    assert seen[:1000] == lines[:1000]
    assert seen[-2000:] == lines[-2000:]
    assert set(TRACEBACK) <= set(seen)
    assert any("Errno 28" in line for line in seen)


def test_repeats_and_frames_are_left_out() -> None:
    """The first copies stay; steps stay; what differs in more than numbers stays."""
    lines = [f"[rank{n}]: NCCL error 0x{n:x} in {n} ms" for n in range(50)]
    assert without_repeats(lines) == lines[:COPIES_MAX]
    steps = [f"step {n} loss 2.0" for n in range(50)]
    assert without_repeats(steps) == steps
    others = [f"no module {'abcdefghij'[n]}" for n in range(10)]
    assert without_repeats(others) == others
    assert without_repeats(watchdog(3)) == [watchdog(3)[0], ""]


def test_a_traceback_goes_whole_or_stays_whole() -> None:
    """One rank's traceback that differs at its end keeps its beginning."""
    same = [rank(n, TRACEBACK) for n in range(30)]
    other = rank(30, [*TRACEBACK[:3], "KeyError: 'x'"])
    kept = without_repeats([line for lines in (*same, other) for line in lines])
    assert kept == [line for lines in (*same[:COPIES_MAX], other) for line in lines]
    mixed = [line for lines in zip(*same, other, strict=True) for line in lines]
    assert set(without_repeats(mixed)) == set(kept)


@pytest.mark.parametrize("line", [line for _, line, *_ in STEPS])
def test_no_step_is_passed_over_by_the_search(line: str) -> None:
    """What the search asks of a block's bytes holds for the steps of all tools."""
    data = f"hello\n{line}\nhello\n".encode()
    search = StepSearch(reader(data), 0, len(data))
    search.run()
    assert search.found is not None
    assert data[search.found.begin : search.found.end].decode() == line
