"""Remembers what single lines say, for as long as one log is diagnosed.

Several passes go over the same lines, and each has to know label and step of a line. `forget` is
called at the end: the daemon must not keep a log's lines.
"""

from functools import lru_cache

from supervisor.diagnosis.line_prefix import LinePrefix, split_prefix
from supervisor.diagnosis.step_line import StepMark, read_step

# As many as a diagnosis gets to see.
_LINES_MAX = 6000


@lru_cache(maxsize=_LINES_MAX)
def prefix_of(line: str, labels: tuple[str, ...] = ()) -> LinePrefix:
    """The line taken apart, as `split_prefix` does it."""
    return split_prefix(line, labels)


@lru_cache(maxsize=_LINES_MAX)
def step_of(line: str, labels: tuple[str, ...] = ()) -> StepMark | None:
    """The step in a whole line, as `read_step` reads it behind the labels."""
    return read_step(prefix_of(line, labels).body)


def forget() -> None:
    """Drop all lines."""
    prefix_of.cache_clear()
    step_of.cache_clear()
