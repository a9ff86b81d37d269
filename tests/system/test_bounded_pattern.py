"""A user's regular expression takes no longer than allowed; doubtful shapes count as slow."""

import signal
import threading
import time

import pytest

from supervisor.system.bounded_pattern import BoundedPattern, PatternTimeoutError
from supervisor.system.pattern_shape import hostile_texts, is_surely_quick

BACKTRACKING = [
    r"(\w+\s?)*step=(?P<step>\d+)",
    r"(?P<step>[0-9]+) (a+)+$",
    r"(?:a|aa)*b(?P<step>\d+)",
    r"(?:a|b|ab)*c(?P<step>\d+)",
    r"([a-z]+_?)*(?P<step>\d+)x",
    r"(?=(a+)+b)(?P<step>x)",
    r"((?P<step>\d+)|x)*y\1",
    r"(?:[^,]*,?)*!(?P<step>\d)",
    r"(?:(?:ab?)+c?)+(?P<step>1)",
]
ORDINARY = [
    r"step (?P<step>\d+)",
    r"(?P<step>\d+)/\d+ \[",
    r".*step (?P<step>\d+)",
    r"'global_step': (?P<step>\d+)",
    r"weights-(?P<step>\d+)\.bin",
]


@pytest.mark.parametrize("pattern", BACKTRACKING)
def test_a_match_that_backtracks_is_ended(pattern: str) -> None:
    """A short text derived from the pattern's shape makes it backtrack, and the timer ends it."""
    compiled, begun = BoundedPattern(pattern), time.process_time()
    texts = list(hostile_texts(pattern, 250))
    with pytest.raises(PatternTimeoutError):
        _ = [compiled.find_all(text, 0.05) for text in texts]
    assert time.process_time() - begun < 2.0


@pytest.mark.parametrize("pattern", ORDINARY)
def test_an_ordinary_pattern_is_ended_on_nothing(pattern: str) -> None:
    """No hostile text, short or long, takes an ordinary pattern a tenth of a second."""
    compiled = BoundedPattern(pattern)
    for are_long in (False, True):
        for text in hostile_texts(pattern, 2000, are_long=are_long):
            compiled.find_all(text, 0.1)


@pytest.mark.parametrize("pattern", BACKTRACKING)
def test_no_backtracking_shape_counts_as_quick(pattern: str) -> None:
    """If no timer works, the shape alone decides."""
    assert not is_surely_quick(pattern)


@pytest.mark.parametrize("pattern", ORDINARY)
def test_ordinary_shapes_count_as_quick(pattern: str) -> None:
    """A pattern that is quick by its shape is applied in any thread."""
    assert is_surely_quick(pattern)


def test_no_other_thread_is_held_up() -> None:
    """No signal can end a match in another thread: there, only patterns quick by shape are used."""
    results: list[object] = []

    def work() -> None:
        results.append(BoundedPattern(r"a(?P<step>\d+)").match_whole("a5", 0.01))
        try:
            BoundedPattern(r"(a+)+$").match_whole("a" * 50 + "!", 0.01)
        except PatternTimeoutError as error:
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert isinstance(results[1], PatternTimeoutError)
    assert results[0] is not None


def test_a_timer_that_comes_late_ends_nothing_else() -> None:
    """The signal may be on its way when the match is done."""
    assert BoundedPattern("a").match_whole("a", 1.0) is not None
    signal.raise_signal(signal.SIGVTALRM)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
