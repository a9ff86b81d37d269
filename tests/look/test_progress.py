"""Steps read from the log of a command that does not know the supervisor."""

import time

import pytest

from supervisor.daemon.look.progress import LOOK_CPU_S, ProgressReader

HOSTILE = r"(\w+\s?)*step=(?P<step>\d+)"
SLOW_LINE = "loss " * 12 + "a" * 40 + "!"


def steps(reader: ProgressReader, lines: list[str]) -> list[int]:
    """The steps without their shapes."""
    return [found.step for found in reader.feed(lines).steps]


@pytest.mark.parametrize(
    ("pattern", "lines", "step"),
    [
        (r"step (?P<step>\d+)", ["step 4: loss 2.1", "eval", "step 8: loss 2.0"], 8),
        (r"step (?P<step>\d+)", ["nothing here"], None),
        (r"(?P<step>\d+)/1000", [" 3/1000 |#| 4/1000 |##|"], 4),
        (r"step (?P<step>[\d,]+)", ["step 1,204"], 1204),
        (r"step (?P<step>\S+)", ["step 12.0", "step nan"], 12),
        (r"step (?P<step>\d+)?", ["step "], None),
        (r"step (?P<step>\d+)", ["step " + "9" * 400], None),
        (r"(x+)+y|step (?P<step>\d+)", ["step 5", "z" * 10_000_000], 5),
    ],
)
def test_the_last_step_counts(pattern: str, lines: list[str], step: int | None) -> None:
    """The last step counts among any other output, and what is no number is no step."""
    assert (steps(ProgressReader(pattern), lines) or [None])[-1] == step


@pytest.mark.parametrize(
    ("pattern", "message"), [("(?P<step>", "is wrong"), (r"(?P<stop>\d+)", "no group")]
)
def test_a_pattern_that_cannot_work_is_refused(pattern: str, message: str) -> None:
    """The pattern is refused at the start, not at the first line."""
    with pytest.raises(ValueError, match=message):
        ProgressReader(pattern)


def test_all_steps_are_given_in_order() -> None:
    """A counter that goes backwards is seen, within one line or over several."""
    reader = ProgressReader(r"(?P<step>\d+)/9")
    assert steps(reader, ["8/9 9/9", "0/9", "1/9"]) == [8, 9, 0, 1]


def test_a_look_has_a_bound_however_many_lines_are_slow() -> None:
    """The daemon must answer a stop, so a look is bounded, and reads the newest lines first."""
    reader, begun = ProgressReader(HOSTILE), time.process_time()
    assert steps(reader, [SLOW_LINE] * 10_000 + ["step=8"]) == [8]
    assert time.process_time() - begun < 3 * LOOK_CPU_S


def test_a_pattern_that_is_too_slow_again_and_again_is_switched_off() -> None:
    """One slow line is kept for a report, and from then on a look costs nothing."""
    reader = ProgressReader(HOSTILE)
    for _ in range(8):
        reader.feed([SLOW_LINE] * 10)
    assert reader.slow_line is not None
    assert SLOW_LINE.startswith(reader.slow_line)
    assert steps(reader, ["step=9"]) == []


def test_a_rare_slow_line_costs_only_itself() -> None:
    """One slow line among thousands of quick ones does not switch the pattern off."""
    reader = ProgressReader(HOSTILE)
    for day in range(8):
        assert steps(reader, [SLOW_LINE, f"step={day}"]) == [day]
        for _ in range(40):
            reader.feed(["step=1"] * 300)
    assert reader.slow_line is None


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        ("  3%|▎         | 6/200 [00:01<00:38,  5.0it/s, loss=2.1]", "|200"),
        ("Skipping the first batches: 1%| 6/500 [00:01]", "skipping the first batches|500"),
        ("Epoch 3:  45%|████▌     | 45/1000 [01:14<01:31,  6.01it/s]", "epoch|epoch|1000"),
        ("[2026-01-05 10:11:12] 7/200 of ep. 3", "epoch||200"),
    ],
)  # fmt: skip
def test_two_bars_of_one_trainer_have_two_shapes(line: str, shape: str) -> None:
    """The count of skipped batches and the count of trained ones have different shapes."""
    (found,) = ProgressReader(r"(?P<step>\d+)/\d+").feed([line]).steps
    assert found.shape == shape


@pytest.mark.parametrize(
    ("pattern", "lines", "read"),
    [
        (r"(?P<step>\d+)/(?P<total>\d+) .*loss=(?P<loss>\S+)\]",
         ["3/1,000 x loss=2.5]", "4/1000 x loss=2.25]"], (2.25, 1000, None)),
        (r"step (?P<step>\d+)|'loss': '?(?P<loss>[\d.e-]+)'?.*'epoch': '?(?P<epoch>[\d.]+)",
         ["step 4", "{'loss': '1.5e-2', 'epoch': '3.16'}", "step 5"], (0.015, None, 3)),
        (r"step (?P<step>\d+) loss (?P<loss>\S+)", ["step 1 loss nan?", "step 2 loss x"],
         (None, None, None)),
        (r"step (?P<step>\d+) of (?P<total>\S+) epoch (?P<epoch>\S+)",
         ["step 1 of many epoch -1"], (None, None, None)),
        (r"step (?P<step>\d+)( loss (?P<loss>\S+))?", ["step 1 loss 0.5", "step 2"],
         (0.5, None, None)),
    ],
)  # fmt: skip
def test_the_other_groups_are_read(
    pattern: str, lines: list[str], read: tuple[float | None, int | None, int | None]
) -> None:
    """Each group gives its newest number, also from a match without a step, or nothing."""
    found = ProgressReader(pattern).feed(lines)
    assert (found.loss, found.total, found.epoch) == read
