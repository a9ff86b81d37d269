"""Paths that hold the date and time at which they were made: others at each start of a script.

Hydra, TensorBoard and many scripts name a directory so. Two such paths are of one training if they
differ in nothing but that time.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# A script makes the name as it begins, and may prepare its data for hours before it trains.
_BEFORE = timedelta(hours=24)
_AFTER = timedelta(minutes=5)
_MARK = "\0"

_TIME = (
    r"(?P<H>[01]\d|2[0-3])(?P<t>[-_.:hH]?)(?P<M>[0-5]\d)"
    r"(?:[-_.:mM]?(?P<S>[0-5]\d)(?:[-_.,]?\d{6}|[-_.,]\d{3})?s?)?"
)
_THEN = r"(?:[-_T/ .@,]{1,3}|_at_)"
_MONTH = r"(?P<b>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_YEAR_FIRST = r"(?P<Y>20\d\d)(?P<s>[-_.]?)(?P<m>[01]\d)(?P=s)(?P<d>[0-3]\d)"
_YEAR_LAST = (r"(?P<d>[0-3]\d)(?P<s>[-_.])(?P<m>[01]\d)(?P=s)(?P<Y>20\d\d)",
              r"(?P<m>[01]\d)(?P<s>[-_.])(?P<d>[0-3]\d)(?P=s)(?P<Y>20\d\d)")  # fmt: skip
_NAMED = (rf"{_MONTH}[-_ ]?(?P<d>[0-3]?\d)(?:[-_ ,]+(?P<Y>20\d\d))?",
          rf"(?P<d>[0-3]?\d)[-_ ]?{_MONTH}(?:[-_ ]?(?P<Y>20\d\d))?")  # fmt: skip
_SHORT = r"(?P<y>\d\d)(?P<s>[-_.]?)(?P<m>[01]\d)(?P=s)(?P<d>[0-3]\d)"
_DAY = r"(?P<m>[01]\d)(?P<s>[-_.]?)(?P<d>[0-3]\d)"
_WITH_TIME = tuple(
    rf"{date}(?:{_THEN}|T?){_TIME}" if date is _YEAR_FIRST else rf"{date}{_THEN}{_TIME}"
    for date in (_YEAR_FIRST, *_YEAR_LAST, *_NAMED, _SHORT, _DAY)
)
# A date alone may be one of data, a time alone any three numbers.
_EPOCH = r"(?P<e>1\d{9})(?:\d{3}|\d{6}|\d{9}|\.\d+)?"
_FORMS = tuple(re.compile(rf"(?<![0-9]){form}(?![0-9])") for form in (*_WITH_TIME, _EPOCH))
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def without_time(path: str, began: float) -> str:
    """The path with each time in it replaced that may be the start of what `began` then.

    `began`: seconds since 1970, when the training began whose path it is. Without such a time the
    path is returned as it is.
    """
    for form in _FORMS:
        path = form.sub(lambda found: _MARK if _is_near(found, began) else found.group(), path)
    return path


def _is_near(found: re.Match[str], began: float) -> bool:
    parts = {name: text for name, text in found.groupdict().items() if text}
    if "e" in parts:
        return began - _BEFORE.total_seconds() < float(parts["e"]) < began + _AFTER.total_seconds()
    for now in _nows(began):
        first, last = now - _BEFORE, now + _AFTER
        for year in {first.year, last.year}:
            try:
                when = _read(parts, year)
            except ValueError:
                continue  # no such day
            if first < when <= last:
                return True
    return False


def _nows(began: float) -> Iterator[datetime]:
    """The local time and that of UTC, both without a zone, as names have them."""
    yield datetime.fromtimestamp(began)  # noqa: DTZ006
    yield datetime.fromtimestamp(began, timezone.utc).replace(tzinfo=None)


def _read(parts: dict[str, str], year: int) -> datetime:
    """The time in a path; `year` where it names none. Raises ValueError."""
    month = int(parts["m"]) if "m" in parts else _MONTHS.index(parts["b"]) // 3 + 1
    if "Y" in parts:
        year = int(parts["Y"])
    elif "y" in parts:
        year = 2000 + int(parts["y"])
    hour, minute, second = (int(parts.get(name, 0)) for name in "HMS")
    return datetime(year, month, int(parts["d"]), hour, minute, second)  # noqa: DTZ001
