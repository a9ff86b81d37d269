"""Checks the shards of torch.distributed.checkpoint (DCP): `.metadata` names every file and extent.

`.metadata` is read without torch. Layout: torch 2.13, distributed/checkpoint/filesystem.py
(`_write_item`, `finish`), the same since torch 2.0. Megatron-LM, accelerate's FSDP and torchtitan
write it too.
"""

import os
import posixpath
import re
from typing import NamedTuple

from supervisor.checkpoint.layout import is_safe_name
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.file_check import Check, SeenAtOnce
from supervisor.checkpoint.proofs.pickle_values import (
    Entries,
    Made,
    UnknownPickleError,
    read_pickle,
)
from supervisor.checkpoint.proofs.safetensors import check_safetensors
from supervisor.checkpoint.proofs.zip_archive import DamagedError, ZipCheck
from supervisor.checkpoint.suffixes import METADATA, SHARD_SUFFIX

# One file for all ranks, or one for each rank that saved without collectives
# (`use_collectives=False`).
_METADATA = rf"(?:__\d+)?{re.escape(METADATA)}"
_MOST_METADATA_BYTES = 32 << 20
_ZIP_MAGIC = b"PK\3\4"
_SAFETENSORS_HEAD = b'{"__metadata__":'
# A longer path names no file (PATH_MAX). To compare two equal long paths takes long.
_MOST_OF_A_PATH = 4096
# DCP writes `.metadata` after all shards. A copy without the times (`cp -r`, a download) writes the
# files in any order. So a shard may be later than `.metadata` by the time that the copy took. A
# shared disk or an object store takes 10 MB/s at worst, and seconds for the first byte of each
# file. A save that was cut off within so short a time after another save is not noticed, because a
# good checkpoint must not be refused.
_SLOW_START_S = 15.0
_SLOW_COPY_BYTES_A_S = 10e6


class Extent(NamedTuple):
    """The range of bytes of an item in a shard. `is_plain`: a tensor that was not transformed."""

    begin: int
    end: int
    is_plain: bool


class _Place(NamedTuple):
    """Where one item lies: the shard's path as `.metadata` has it, and the range of bytes in it."""

    path: str
    begin: int
    end: int
    is_transformed: bool


class Save:
    """The items that one metadata file names, by the names of their shards in the checkpoint.

    `is_archived`: whether the save's tensors are zip archives; None until one was read.
    """

    def __init__(self, metadata: str, shards: dict[str, list[Extent]]) -> None:
        self.metadata = metadata
        self.shards = shards
        self.is_archived: bool | None = None


def is_metadata(name: str) -> bool:
    """Whether a file is a metadata file, which DCP writes last."""
    return re.fullmatch(_METADATA, name.rpartition("/")[2]) is not None


def metadata_of(shard: str) -> list[str]:
    """The names of the metadata files that may describe a shard: of all ranks, of its own rank."""
    folder, slash, leaf = shard.rpartition("/")
    rank = re.match(r"__(\d+)_", leaf)
    leaves = [METADATA] if rank is None else [METADATA, f"__{rank[1]}{METADATA}"]
    return [f"{folder}{slash}{leaf}" for leaf in leaves]


class ShardSaves:
    """What all metadata files in a checkpoint say of its shards.

    A metadata file that is too large or not understood counts for nothing. The constructor raises
    DamagedError if a shard is missing, too short or of another save, and OSError.
    """

    def __init__(self, stock: FileListing) -> None:
        self._by_shard: dict[str, Save] = {}
        self._read: set[str] = set()
        left = _MOST_METADATA_BYTES
        for name in sorted(filter(is_metadata, stock.files)):
            data = stock.read(name, left)
            if data is None:
                continue
            # Metadata that is not understood counts, too: reading it took time.
            left -= len(data)
            shards = _read_shards(data)
            if shards is None:
                continue
            save = Save(name, _in_checkpoint(name, shards))
            _check_shards(stock, save)
            self._by_shard.update(dict.fromkeys(save.shards, save))
            self._read.add(name)

    def check(self, fd: int, size: int, name: str) -> Check | None:
        """The check of a shard, or of a metadata file that was understood; else None."""
        save = self._by_shard.get(name)
        if save is not None:
            return ShardCheck(fd, size, save, name)
        return SeenAtOnce(is_proof=True) if name in self._read else None

    def is_surplus(self, name: str) -> bool:
        """Whether a file is a shard that no metadata file names, though one for it was understood.

        A rank with nothing to write leaves an empty shard of this kind.
        """
        if not name.endswith(SHARD_SUFFIX) or name in self._by_shard:
            return False
        return any(one in self._read for one in metadata_of(name))


def _read_shards(data: bytes) -> dict[str, list[Extent]] | None:
    """The extents by their shard's path as `.metadata` has it; None for any other layout."""
    try:
        return _shards_of(read_pickle(data))
    except UnknownPickleError:
        return None


def _shards_of(root: object) -> dict[str, list[Extent]] | None:
    """As `_read_shards`, from the value of the pickle. Raises UnknownPickleError."""
    storage = root.fields().get("storage_data") if isinstance(root, Made) else None
    if isinstance(storage, Made):
        storage = storage.items
    if not isinstance(storage, Entries):
        return None
    shards: dict[str, list[Extent]] = {}
    # A million pairs may share their objects: each object is looked into once.
    places: dict[int, _Place | None] = {}
    tensors: dict[int, bool] = {}
    for key, value in storage.pairs:
        if not isinstance(key, Made) or not isinstance(value, Made):
            return None
        if id(value) not in places:
            places[id(value)] = _place_of(value)
        if id(key) not in tensors:
            # Only a tensor's index has an offset: where its chunk begins in the whole tensor.
            tensors[id(key)] = key.fields().get("offset") is not None
        place = places[id(value)]
        if place is None:
            return None
        is_plain = tensors[id(key)] and not place.is_transformed
        shards.setdefault(place.path, []).append(Extent(place.begin, place.end, is_plain))
    return shards


def _place_of(value: Made) -> _Place | None:
    """Where an item lies; None for any other layout. Raises UnknownPickleError."""
    said = value.fields()
    path, offset, length = (said.get(name) for name in ("relative_path", "offset", "length"))
    if type(path) is not str or type(offset) is not int or type(length) is not int:
        return None
    if len(path) > _MOST_OF_A_PATH or not (0 <= offset < 1 << 62 and 0 <= length < 1 << 62):
        return None
    is_transformed = said.get("transform_descriptors") is not None
    return _Place(path, offset, offset + length, is_transformed)


def _in_checkpoint(metadata: str, shards: dict[str, list[Extent]]) -> dict[str, list[Extent]]:
    folder, slash, _ = metadata.rpartition("/")
    found: dict[str, list[Extent]] = {}
    for path, extents in shards.items():
        inside = posixpath.normpath(path) if path else ""
        if not is_safe_name(inside):
            raise DamagedError(f"{metadata} names {path[:80]!a}, outside of the checkpoint")
        found.setdefault(f"{folder}{slash}{inside}", []).extend(extents)
    return found


def _check_shards(stock: FileListing, save: Save) -> None:
    """Check that each shard is there, is long enough, and is of the save that `.metadata` ended.

    Raises DamagedError with a sentence.
    """
    allowed_s = _SLOW_START_S + stock.total_bytes / _SLOW_COPY_BYTES_A_S
    ended_ns = stock.files[save.metadata].mtime_ns
    for name, extents in sorted(save.shards.items()):
        facts = stock.files.get(name)
        if facts is None:
            raise DamagedError(f"{name} is missing, which {save.metadata} names")
        if not facts.is_regular:
            raise DamagedError(f"{name} is not a regular file (links are not followed)")
        needed = max(extent.end for extent in extents)
        if facts.size < needed:
            raise DamagedError(
                f"{name} is cut short: it has {facts.size} bytes, {save.metadata} names {needed}"
            )
        later_s = (facts.mtime_ns - ended_ns) / 1e9
        if later_s > allowed_s:
            raise DamagedError(
                f"{name} is of another save: it was written {later_s:.0f} s after {save.metadata},"
                " which DCP writes last"
            )


class ShardCheck:
    """Checks the items of a shard one after the other, each in the range that `.metadata` gives.

    torch.save writes each item as a zip archive of its own, so the CRC-32s prove the whole shard.
    In DCP's safetensors format the tensors' header is checked. Other bytes stay unproven.
    """

    def __init__(self, fd: int, size: int, save: Save, name: str) -> None:
        self._fd = fd
        self._size = size
        self._save = save
        self._ahead = _apart(save.shards[name])
        self._named = max((item.end for item in self._ahead), default=0)
        self._ahead.reverse()
        self._check: Check | None = None
        self._offset = 0
        self._is_all_archives = True
        self.is_proof = True

    def feed(self, chunk: memoryview) -> None:
        """Take the next bytes of the file. Raises DamagedError, OSError."""
        begin, end = self._offset, self._offset + len(chunk)
        while self._ahead and self._ahead[-1].begin < end:
            item = self._ahead[-1]
            try:
                check = self._check = self._check or self._open(item)
                item = self._ahead[-1]  # `_open` may have extended the item
                check.feed(chunk[max(item.begin - begin, 0) : min(item.end, end) - begin])
                if item.end > end:
                    break
                check.finish()
            except DamagedError as error:
                raise DamagedError(
                    f"is damaged or of another save: the item that {self._save.metadata} names at"
                    f" byte {item.begin} {error}"
                ) from error
            self.is_proof = self.is_proof and check.is_proof
            self._check = None
            self._ahead.pop()
        self._offset = end

    def finish(self) -> None:
        """Say that the file has ended. Raises DamagedError."""
        if self._ahead:
            raise DamagedError("ended while it was being read")
        # torch's files end where their last archive does.
        if self._is_all_archives and self._named != self._size:
            raise DamagedError(
                f"is of another save: it has {self._size} bytes, {self._save.metadata} names"
                f" {self._named}"
            )

    def _open(self, item: Extent) -> Check:
        head = os.pread(self._fd, 8 + len(_SAFETENSORS_HEAD), item.begin)
        if head[8:] == _SAFETENSORS_HEAD:
            # DCP's safetensors format: one such file holds all tensors, behind the other items.
            self._is_all_archives = False
            self._ahead = [item._replace(end=self._size)]
            return check_safetensors(self._fd, self._size, begin=item.begin)
        is_archive = head.startswith(_ZIP_MAGIC)
        if item.is_plain:
            if self._save.is_archived not in (None, is_archive):
                raise DamagedError("is not stored as the other tensors are")
            self._save.is_archived = is_archive
        if is_archive:
            return ZipCheck(self._fd, item.end, begin=item.begin)
        self._is_all_archives = False
        return SeenAtOnce(is_proof=False)


def _apart(extents: list[Extent]) -> list[Extent]:
    """The extents by position, without empty ones.

    Extents that share bytes become one extent, which is not plain: nothing is known of it.
    """
    apart: list[Extent] = []
    for extent in sorted(extents):
        if apart and extent.begin < apart[-1].end:
            end = max(extent.end, apart[-1].end)
            apart[-1] = Extent(apart[-1].begin, end, is_plain=False)
        elif extent.end > extent.begin:
            apart.append(extent)
    return apart
