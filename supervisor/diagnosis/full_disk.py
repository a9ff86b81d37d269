"""Where there was no room, as a failed write says it; it looks at no disk."""

import os
import re
from collections.abc import Iterable

# OSError prints the file that it was about, and behind an arrow the one that it was to become.
_NAMED = re.compile(
    r"\[Errno (?:28|122)\][^'\"]{0,100}: (?P<quote>['\"])(?P<file>.{1,4000}?)(?P=quote)"
    r"(?: -> (?P<other>['\"])(?P<becomes>.{1,4000}?)(?P=other))?(?:\s|$)"
)


def place_of(evidence: Iterable[str]) -> str | None:
    """The directory of the file that could not be written; None where no line names one."""
    for line in evidence:
        found = _NAMED.search(line)
        if found is not None:
            return os.path.dirname(found["becomes"] or found["file"]) or "."  # noqa: PTH120
    return None
