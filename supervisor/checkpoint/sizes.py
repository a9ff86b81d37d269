"""Finds files that were cut off by comparing their sizes with the checkpoint before.

It compares only files for which no other check would show the cut.
"""

import os
from collections import Counter
from collections.abc import Set

from supervisor.checkpoint.by_products import is_state_file
from supervisor.checkpoint.contents import is_description, state_files
from supervisor.checkpoint.digest import open_inside
from supervisor.checkpoint.listing import FileListing, open_root
from supervisor.checkpoint.names import series
from supervisor.checkpoint.proofs.containers import COMPRESSED
from supervisor.checkpoint.proofs.pickles import TORCH_MAGIC
from supervisor.checkpoint.siblings import Member, by_plain_name
from supervisor.checkpoint.suffixes import METADATA, SHARD_SUFFIX

_PART = 2  # a file below 1/_PART of its earlier size counts as cut off
# A file that was smaller than this (a disk's sector) is not compared. A write this small is never
# cut in two, and a counter may lose digits.
_LEAST_BYTES = 512
# Other checks cover these: by the file's own kind, or by the file that names its extents.
_CHECKED = (".json", ".safetensors", SHARD_SUFFIX, METADATA)
# In a directory, logs and notes are left out: each process may begin them anew.
_NOTES = (".txt", ".log", ".csv", ".tsv", ".jsonl", ".md", ".yaml", ".yml", ".toml", ".py", ".html")
_EVENTS = "tfevents"
_STORE_MARKS = frozenset({".zarray", ".zgroup", "zarr.json", "manifest.ocdbt"})
# The structure of these shows that the end is missing: every record of an archive has a checksum,
# and a pickle was followed to its end. Only torch's legacy format has raw storages behind a pickle.
_ZIP = b"PK"
_PICKLE = b"\x80"


def find_shrunk(member: Member, before: Member) -> str | None:
    """A sentence on the first file that is less than half as large as in the checkpoint before.

    None if there is none. Files are not compared if the number of their kind changed, as it does
    with the number of ranks. Arrays in chunks are compared by their sum, because each save may have
    other chunks. Raises OSError.
    """
    if not _stores(before.stock) and _least(member.stock) * _PART >= _largest(before.stock):
        return None  # most of thousands of checkpoints end here
    mine, theirs = _Parts(member), _Parts(before)
    name_before = before.stock.path.name
    if theirs.chunk_bytes >= _LEAST_BYTES and mine.chunk_bytes * _PART < theirs.chunk_bytes:
        sizes = f"{mine.chunk_bytes} bytes, less than half of the {theirs.chunk_bytes}"
        return f"its arrays have {sizes} in {name_before}"
    for key, (name, size) in sorted(mine.files.items()):
        was = theirs.files.get(key, ("", 0))[1]
        shape = series(name)
        if mine.counts[shape] == theirs.counts[shape] and _is_cut(member.stock, name, size, was):
            return f"{name} has {size} bytes, less than half of the {was} in {name_before}"
    return None


class _Parts:
    """The sizes of one checkpoint's state files.

    `chunk_bytes`: the sum over all arrays in chunks. `files`: name and size of each other file, by
    its key in `by_plain_name`. `counts`: how many names differ in their numbers alone, by `series`.
    """

    def __init__(self, member: Member) -> None:
        stock = member.stock
        stores = _stores(stock)
        # By-products, such as a picture or a table of results, may shrink without damage.
        state = state_files(stock.files) if stock.is_directory else stock.files.keys()
        # A single file is a checkpoint by its name, so it counts as state whatever its ending.
        skipped = (*_CHECKED, *_NOTES) if stock.is_directory else _CHECKED
        self.chunk_bytes = sum(
            facts.size for name, facts in stock.files.items() if stores and _is_in(name, stores)
        )
        self.counts = Counter(map(series, stock.files))
        self.files = {
            key: (name, stock.files[name].size)
            for key, name in by_plain_name(member).items()
            if name in state
            and not name.endswith(skipped)
            and _EVENTS not in name
            and not (stores and _is_in(name, stores))
            and (not stock.is_directory or _is_state(name))
        }


def _is_state(name: str) -> bool:
    leaf = name.rpartition("/")[2]
    return not is_description(leaf) and is_state_file(leaf)


def _stores(stock: FileListing) -> frozenset[str]:
    """The folders of zarr and OCDBT: every file in one is a chunk, or says where the chunks are."""
    split = (name.rpartition("/") for name in stock.files)
    return frozenset(folder for folder, _, leaf in split if leaf in _STORE_MARKS)


def _is_in(name: str, stores: Set[str]) -> bool:
    """Whether a file lies in one of these folders, at any depth; `""` is the checkpoint itself."""
    folder = name
    while folder:
        folder = folder.rpartition("/")[0]
        if folder in stores:
            return True
    return False


def _least(stock: FileListing) -> int:
    return min((facts.size for facts in stock.files.values()), default=0)


def _largest(stock: FileListing) -> int:
    return max((facts.size for facts in stock.files.values()), default=0)


def has_shrunk(stock: FileListing, bytes_before: int) -> str | None:
    """A sentence if a single file, rewritten in place, is less than half as large as before.

    Otherwise None. Raises OSError.
    """
    name, size = stock.path.name, stock.total_bytes
    if (
        stock.is_directory
        or name.endswith(_CHECKED)
        or not _is_cut(stock, name, size, bytes_before)
    ):
        return None
    return f"{name} has {size} bytes, less than half of the {bytes_before} that it had before"


def _is_cut(stock: FileListing, name: str, size: int, before: int) -> bool:
    return before >= _LEAST_BYTES and size * _PART < before and _is_unchecked(stock, name)


def _is_unchecked(stock: FileListing, name: str) -> bool:
    """Whether the file's end could be missing and its structure would not show it."""
    with open_root(stock) as root_fd, open(open_inside(root_fd, name), "rb", buffering=0) as file:
        head = os.pread(file.fileno(), len(TORCH_MAGIC), 0)
    if head.startswith(_PICKLE):
        return head.startswith(TORCH_MAGIC)
    # Compressed files are left out too: other content may compress better.
    return not head.startswith((_ZIP, *COMPRESSED))
