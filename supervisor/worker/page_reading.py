"""How heartbeat pages are read.

A reader never raises on what it finds, nor maps what it reads (a truncated page is SIGBUS).
"""

from __future__ import annotations

import os
from pathlib import Path

from .page import Page, parse
from .page_layout import PAGE_BYTES, RANK_PREFIX

_READS = 32


def read_page(path: str | os.PathLike[str]) -> Page | None:
    """Read one page; None if it is absent, short, or not one of ours. Never raises, never waits."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return read_open_page(fd)
    finally:
        os.close(fd)


def read_open_page(fd: int) -> Page | None:
    """Read one page from its open descriptor; None if it is not one of ours. Never raises.

    It copies the page until two copies in a row are alike. One copy is not enough: the kernel
    copies with the processor's string instructions, which need not read upwards. The counters
    around a beat can then agree while the words between are of the beat before or after. All of
    the second copy was read after all of the first.
    """
    try:
        raw = os.pread(fd, PAGE_BYTES, 0)
        for _ in range(_READS):
            before, raw = raw, os.pread(fd, PAGE_BYTES, 0)
            if raw == before:
                break
    except OSError:
        return None
    page = parse(raw)
    # The copies never agreed: the process beats faster than its page can be read.
    return page if page is None or raw == before else page._replace(is_torn=True)


def read_pages(directory: str | os.PathLike[str]) -> list[Page]:
    """All pages of a heartbeat directory by local rank; what is not a page is passed over."""
    folder = Path(directory)
    try:
        names = [path.name for path in folder.iterdir() if path.name.startswith(RANK_PREFIX)]
    except OSError:
        return []
    pages = (read_page(folder / name) for name in names if name[len(RANK_PREFIX) :].isdigit())
    return sorted((page for page in pages if page is not None), key=lambda page: page.local_rank)
