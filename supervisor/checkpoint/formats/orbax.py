"""orbax (JAX), whose checkpoints are directories with the bare step as their name.

orbax writes into `STEP.orbax-checkpoint-tmp` and renames it, so a killed save leaves that name.
"""

import os
import re

from supervisor.checkpoint.formats.tool_format import ToolFormat
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.bounded_json import TooLargeError, parse
from supervisor.checkpoint.proofs.file_check import Check, SeenAtOnce
from supervisor.checkpoint.proofs.ocdbt import check_manifest, ends_with_node, is_manifest
from supervisor.checkpoint.proofs.zip_archive import DamagedError

_METADATA = "_CHECKPOINT_METADATA"
_MANIFEST = "manifest.ocdbt"
_SHARDING = "_sharding"
_JSON = re.compile(
    r"(?:.*/)?(?:_CHECKPOINT_METADATA|_METADATA|_sharding|array_metadatas/process_\d+)"
)
_MOST_JSON_BYTES = 32 << 20
_DATA = re.compile(r"((?:.*/)?)d/[0-9a-f]{32}")
# A store splits its data into files of 2 GiB, and only the last of them need end with a node. No
# store is split into files this small.
_NEVER_SPLIT_BYTES = 32 << 20
_MOST_MANIFEST_BYTES = 1 << 20


def _check(stock: FileListing) -> None:
    """Check that each store has its manifest and its data.

    Raises DamagedError with a sentence, OSError.
    """
    with_data = {found[1] for name in stock.files if (found := _DATA.fullmatch(name))}
    with_manifest = {
        name.removesuffix(_MANIFEST) for name in stock.files if name.endswith(_MANIFEST)
    }
    for folder in sorted(with_data - with_manifest):
        raise DamagedError(f"{folder}{_MANIFEST} is missing, which names the data beside it")
    for folder in sorted(with_manifest - with_data):
        manifest = folder + _MANIFEST
        is_empty = not any(name.startswith(f"{folder}d/") for name in stock.files)
        if is_empty and is_manifest(stock.read(manifest, _MOST_MANIFEST_BYTES) or b""):
            raise DamagedError(f"{folder}d/ is missing, which {manifest} names")


class _StoreFiles:
    """The checks of the files of OCDBT in one checkpoint."""

    def __init__(self, stock: FileListing) -> None:
        self._stock = stock
        self._largest: dict[str, int] = {}
        for name, facts in stock.files.items():
            found = _DATA.fullmatch(name)
            if found is not None:
                self._largest[found[1]] = max(self._largest.get(found[1], 0), facts.size)

    def is_surplus(self, name: str) -> bool:
        """No file is known to be of no use."""
        return False

    def check(self, fd: int, size: int, name: str) -> Check | None:
        """The check of a manifest or a data file. Raises DamagedError, OSError."""
        leaf = name.rpartition("/")[2]
        if leaf == _MANIFEST:
            return check_manifest(fd, size)
        if _JSON.fullmatch(name) is not None:
            return _check_json(fd, size, may_be_empty=leaf == _SHARDING)
        found = _DATA.fullmatch(name)
        if found is None or f"{found[1]}{_MANIFEST}" not in self._stock.files:
            return None
        may_go_on = size == self._largest[found[1]] and size >= _NEVER_SPLIT_BYTES
        if not may_go_on and not ends_with_node(fd, size):
            raise DamagedError("is cut short or damaged: no whole node of its store ends it")
        return SeenAtOnce(is_proof=False)


def _check_json(fd: int, size: int, *, may_be_empty: bool) -> Check:
    """Check one of orbax's records, which are JSON without an ending. Raises DamagedError, OSError.

    Another form, as other versions may have it, proves nothing.
    """
    data = os.pread(fd, min(size, _MOST_JSON_BYTES), 0)
    if not data and not may_be_empty:
        raise DamagedError("is empty")
    if data.startswith(b"{") and size <= _MOST_JSON_BYTES:
        try:
            parse(data)
        except TooLargeError:
            return SeenAtOnce(is_proof=False)
        except ValueError as error:
            raise DamagedError("is cut short or damaged: it is not JSON") from error
    return SeenAtOnce(is_proof=False)


FORMAT = ToolFormat(
    # These show a save if a directory's name has a prefix before the step.
    state=r"_METADATA|manifest\.ocdbt",
    # orbax writes the second of them on object stores.
    marks=(_METADATA, "commit_success.txt"),
    essential=("_METADATA", _MANIFEST),
    folder=r"(?:.*/)?(?:checkpoints?|ckpts?)",
    check=_check,
    prove_files=_StoreFiles,
    resume="orbax: `latest_step()` finds the newest: `resume: {by: trainer}`",
    sign=r"(?:.*/)?(?:_CHECKPOINT_METADATA|manifest\.ocdbt)",
)
