"""Picks the check for a file of another tool, by the file's name and first bytes.

Nothing is unpickled, and memory is bounded whatever the file holds.
"""

import os
import re

from supervisor.checkpoint.contents import OPTIMIZER, PICKLED, is_payload
from supervisor.checkpoint.formats.dcp_shards import is_metadata
from supervisor.checkpoint.proofs.bounded_json import TooLargeError, parse
from supervisor.checkpoint.proofs.containers import (
    COMPRESSED,
    CONTAINERS,
    check_container,
    is_container,
)
from supervisor.checkpoint.proofs.file_check import Check, NotOnlyZeros, SeenAtOnce, read_exactly
from supervisor.checkpoint.proofs.pickles import TORCH_MAGIC, check_pickle, is_text_pickle
from supervisor.checkpoint.proofs.safetensors import check_safetensors
from supervisor.checkpoint.proofs.self_delimiting import check_msgpack, check_ubjson
from supervisor.checkpoint.proofs.zip_archive import DamagedError, UnprovableError, ZipCheck
from supervisor.checkpoint.suffixes import SHARD_SUFFIX

__all__ = ["Check", "DamagedError", "inspect", "is_payload"]

_MOST_JSON_BYTES = 32 << 20
_HEAD_BYTES = 4096
_ZIP_MAGIC = (b"PK\3\4", b"PK\5\6")
# An array without a header may begin with zeros (the row of the padding token). In a directory a
# file without a plain ending is often such an array: `0.0` of zarr, `.data-00000-of-00001` of
# TensorFlow.
_ARRAY = r".*\.(?:raw|dat|data|mmap|memmap)"
# MindSpore, TensorFlow and others also write these endings. The other two of `PICKLED` are torch's.
SHARED_ENDINGS = (".ckpt", ".pkl")
# Pickles of protocol 0 and 1 begin with a class, or with a container and then its place in the memo
# or a mark.
_OLD_PICKLE = re.compile(rb"(?:\([dlt]|[}\])])(?:p\d+\n|q.|\()|\(?c[\w.]+\n[\w.]+\n", re.DOTALL)
_ZEROS = "begins with zeros: its data never reached the disk"
_PLAIN_ENDING = r".*\.[a-z][a-z0-9]*"


def inspect(fd: int, name: str, size: int, *, is_alone: bool = False, is_own: bool = True) -> Check:
    """The check that fits a file's content and name. Raises DamagedError, OSError.

    `is_alone`: the file is all of the checkpoint. `is_own`: a trainer's tool gives such names to
    its files. Other files may be empty, or begin with zeros.
    """
    head = os.pread(fd, _HEAD_BYTES, 0)
    if is_payload(name) and not head:
        if not is_own:
            return SeenAtOnce(is_proof=False)
        raise DamagedError("is empty")
    if is_own and (is_alone or is_payload(name)) and _is_cut_in_magic(head):
        raise DamagedError("is cut short")
    if name.endswith(".json"):
        return _check_json(fd, size)
    if name.endswith(".safetensors"):
        return check_safetensors(fd, size, are_weights=OPTIMIZER not in name.lower())
    if not is_payload(name):
        return _inspect_unknown(fd, head, name, size, is_alone=is_alone)
    if head.startswith(_ZIP_MAGIC) and not name.endswith(SHARD_SUFFIX):
        return ZipCheck(fd, size)
    is_pickled = name.endswith(PICKLED) or is_metadata(name)
    if (is_pickled or name.endswith(".bin")) and head[:1] == b"\x80":
        return check_pickle(fd, size)
    if is_pickled or name.endswith(".npz"):
        container = check_container(fd, head, size)
        if container is not None:
            return container
        if _is_neither(fd, head, name, size):
            raise DamagedError("is neither a zip archive nor a pickle")
    # A short file that is no pickle may be a counter, and 0 is a count.
    is_full = len(head) == _HEAD_BYTES or is_pickled
    if (is_own or (is_alone and is_pickled)) and is_full and not any(head):
        raise DamagedError(_ZEROS)
    return NotOnlyZeros() if is_alone else SeenAtOnce(is_proof=False)


def _is_cut_in_magic(head: bytes) -> bool:
    """Whether a file ends within the first bytes of an archive or another container."""
    magics = (*_ZIP_MAGIC, *CONTAINERS)
    return bool(head) and any(magic != head and magic.startswith(head) for magic in magics)


def is_known_content(head: bytes) -> bool:
    """Whether a file begins as a zip archive, a pickle, compressed data or another container."""
    is_binary = head.startswith((*_ZIP_MAGIC, b"\x80", *COMPRESSED)) or is_container(head)
    return is_binary or _OLD_PICKLE.match(head) is not None


def _is_neither(fd: int, head: bytes, name: str, size: int) -> bool:
    """Whether a file is neither the zip archive nor the pickle that its ending says it is.

    With one of SHARED_ENDINGS it may be another program's, so it counts only if it begins as a
    pickle of protocol 0 or 1.
    """
    if head.startswith(COMPRESSED) or is_text_pickle(fd, size):
        return False
    return not name.endswith(SHARED_ENDINGS) or _OLD_PICKLE.match(head) is not None


def _inspect_unknown(fd: int, head: bytes, name: str, size: int, *, is_alone: bool) -> Check:
    """The check of a file that any program may have written: only its content can show damage."""
    if head.startswith(_ZIP_MAGIC):
        try:
            return ZipCheck(fd, size)
        except UnprovableError:
            return SeenAtOnce(is_proof=False)
    if head.startswith(TORCH_MAGIC):
        return check_pickle(fd, size)
    container = check_container(fd, head, size)
    if container is not None:
        return container
    leaf = name.rpartition("/")[2].lower()
    may_be_array = re.fullmatch(_ARRAY, leaf) is not None or (
        not is_alone and re.fullmatch(_PLAIN_ENDING, leaf) is None
    )
    if len(head) == _HEAD_BYTES and not any(head) and not may_be_array:
        raise DamagedError(_ZEROS)
    if leaf.endswith(".msgpack"):
        return check_msgpack(fd, size)
    return check_ubjson(fd, size) if leaf.endswith(".ubj") else SeenAtOnce(is_proof=False)


def _check_json(fd: int, size: int) -> Check:
    if size > _MOST_JSON_BYTES:
        return SeenAtOnce(is_proof=False)
    try:
        parse(read_exactly(fd, size, 0))
    except TooLargeError:
        return SeenAtOnce(is_proof=False)
    except DamagedError:
        raise
    except ValueError as error:
        raise DamagedError("is not JSON") from error
    return SeenAtOnce(is_proof=True)
