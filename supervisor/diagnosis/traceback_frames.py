"""One call of a traceback, as Python, rich and IPython print it; it gives calls no meaning."""

import re
from typing import NamedTuple

FRAME = re.compile(r'( {0,200})File "([^"]{1,900})", line \d{1,9}(?:, in (.{1,200}))?')
_RICH_FRAME = re.compile(r"[│|❱ ]{1,6}(\S.{0,300}?\.py):\d{1,9} in (\S{1,100})")
_IPYTHON_FRAME = re.compile(r"File (\S.{0,300}?\.py):\d{1,9}, in (\w{1,100})")
BOX = ("│", "╭", "╰", "❱")
"""What the lines of rich's box begin with."""


class Frame(NamedTuple):
    """One call of a traceback: the file's path, the function, and the source line, if printed."""

    path: str
    function: str
    source: str = ""


def drawn_frame(text: str) -> Frame | None:
    """The call in a stripped line, as rich draws it in its box or IPython prints it."""
    found = _RICH_FRAME.match(text) if text.startswith(BOX) else _IPYTHON_FRAME.match(text)
    return None if found is None else Frame(found[1], found[2])
