"""Durations as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("2d", 172800),
        ("1w", 604800),
        ("500ms", 0.5),
        ("1.5h", 5400),
        (" 10s ", 10),
        ("10S", 10),
        ("45", 45),
        (45, 45),
        (0.25, 0.25),
    ],
)
def test_what_people_write_is_understood(text: object, seconds: float) -> None:
    """Every form that the documentation names has its seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "s",
        "5x",
        "5m5m",
        "30m1h",
        "-5s",
        "1h-5m",
        "5 minutes",
        "nan",
        "inf",
        True,
        None,
        [],
        -1,
        math.nan,
        math.inf,
        1000000000000.0,
        "999999999d",
    ],
)
def test_nonsense_is_refused(value: object) -> None:
    """Text that is not clearly a duration is refused."""
    with pytest.raises(ValueError, match="expected"):
        parse_duration(value)


@given(st.floats(min_value=0, max_value=1e8))
def test_formatting_reads_back_within_its_precision(seconds: float) -> None:
    """The shown text has the value, within two units."""
    shown = parse_duration(format_duration(seconds))
    assert abs(shown - seconds) <= max(0.51, seconds * 0.05)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.4, "0.4s"),
        (45, "45s"),
        (90, "1m30s"),
        (60, "1m"),
        (5400, "1h30m"),
        (273600, "3d4h"),
        (59.9, "1m"),
        (-30, "-30s"),
    ],
)
def test_formatting(seconds: float, text: str) -> None:
    """A duration is shown in at most two units, the larger first."""
    assert format_duration(seconds) == text
