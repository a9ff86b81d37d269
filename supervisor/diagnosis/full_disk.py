"""Finds the directory of a full disk in the message of a failed write; it looks at no disk."""

import os
import re
from collections.abc import Iterable

# OSError prints the file's name, and the new name of a failed rename behind an arrow.
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
