"""Files of a kind that nobody can check, beside the same files of the checkpoint before."""

import os
from collections import Counter

from supervisor.checkpoint.contents import METADATA, SHARD_SUFFIX
from supervisor.checkpoint.digest import open_inside
from supervisor.checkpoint.family import Member, plain_name
from supervisor.checkpoint.names import series
from supervisor.checkpoint.pickles import TORCH_MAGIC
from supervisor.checkpoint.stock import Stock, open_root

_PART = 2  # smaller than one of so many parts is cut off
# A write this small is never cut in two (a disk's sector); a counter may well lose its digits.
_LEAST_BYTES = 512
# Checked as what they are, or by the file that names their extents.
_CHECKED = (".json", ".safetensors", SHARD_SUFFIX, METADATA)
# Logs and notes begin anew with a process; weights beside them do not.
_NOTES = (".txt", ".log", ".csv", ".tsv", ".jsonl", ".md", ".yaml", ".yml", ".toml", ".py", ".html")
_EVENTS = "tfevents"
# Every record of an archive has a checksum, and a pickle that ends was followed to its end, but
# for the raw storages that torch once wrote behind it.
_ZIP = b"PK"
_PICKLE = b"\x80"


def find_shrunk(member: Member, before: Member) -> str | None:
    """The first file less than half as large as in the checkpoint before, as a whole sentence.

    Of files whose number changed, as those of ranks do, none is compared. Raises OSError.
    """
    if _least(member.stock) * _PART >= _largest(before.stock):
        return None
    mine, theirs = _sizes(member), _sizes(before)
    counts, counts_before = _counts(member.stock), _counts(before.stock)
    for key, (name, size) in sorted(mine.items()):
        was = theirs.get(key, ("", 0))[1]
        shape = series(name)
        if counts[shape] == counts_before[shape] and _is_cut(member.stock, name, size, was):
            name_before = before.stock.path.name
            return f"{name} has {size} bytes, less than half of the {was} in {name_before}"
    return None


def _least(stock: Stock) -> int:
    return min((facts.size for facts in stock.files.values()), default=0)


def _largest(stock: Stock) -> int:
    return max((facts.size for facts in stock.files.values()), default=0)


def has_shrunk(stock: Stock, bytes_before: int) -> str | None:
    """Whether a single file, rewritten in place, is less than half of what it was. OSError."""
    name, size = stock.path.name, stock.total_bytes
    if (
        stock.is_directory
        or name.endswith(_CHECKED)
        or not _is_cut(stock, name, size, bytes_before)
    ):
        return None
    return f"{name} has {size} bytes, less than half of the {bytes_before} that it had"


def _is_cut(stock: Stock, name: str, size: int, before: int) -> bool:
    return before >= _LEAST_BYTES and size * _PART < before and _is_unchecked(stock, name)


def _sizes(member: Member) -> dict[str, tuple[str, int]]:
    """Each plain file's name and size, by what it is called at every step."""
    stock = member.stock
    # The name of a single file may say more than its step: a metric, the epoch.
    skipped = (*_CHECKED, *_NOTES) if stock.is_directory else _CHECKED
    return {
        plain_name(name, member.step) if stock.is_directory else series(name): (name, facts.size)
        for name, facts in stock.files.items()
        if facts.is_regular and not name.endswith(skipped) and _EVENTS not in name
    }


def _counts(stock: Stock) -> Counter[str]:
    return Counter(map(series, stock.files))


def _is_unchecked(stock: Stock, name: str) -> bool:
    """Whether the file's end could be missing, and no look at its structure would show it."""
    with open_root(stock) as root_fd, open(open_inside(root_fd, name), "rb", buffering=0) as file:
        head = os.pread(file.fileno(), len(TORCH_MAGIC), 0)
    if head.startswith(_PICKLE):
        return head.startswith(TORCH_MAGIC)
    return not head.startswith(_ZIP)
