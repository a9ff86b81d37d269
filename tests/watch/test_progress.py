"""Steps read from the log of a command that knows nothing of us."""

import pytest

from supervisor.watch.progress import ProgressReader


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
    """Whatever else is printed; what is no number is no step."""
    assert ProgressReader(pattern).feed(lines) == step


@pytest.mark.parametrize(
    ("pattern", "message"), [("(?P<step>", "is wrong"), (r"(?P<stop>\d+)", "no group")]
)
def test_a_pattern_that_cannot_work_is_refused(pattern: str, message: str) -> None:
    """At the start, not at the first line."""
    with pytest.raises(ValueError, match=message):
        ProgressReader(pattern)
