"""flax's single files of MessagePack: `checkpoint_100` without an ending, `NAME_100.msgpack`.

Source: flax 0.10, training/checkpoints.py (`save_checkpoint`), serialization.py.
"""

import re

from supervisor.checkpoint.formats.name_rule import CheckpointName, NameRule
from supervisor.checkpoint.formats.tool_format import SharedFileName, ToolFormat
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.file_check import Check
from supervisor.checkpoint.proofs.self_delimiting import check_msgpack, is_msgpack

_BARE = r"checkpoint_(?P<number>\d{1,12})"
_HEAD_BYTES = 6


def _read(stock: FileListing, number: int) -> CheckpointName | None:
    """The step, if the file begins as flax's do."""
    if not is_msgpack(stock.head(_HEAD_BYTES)):
        return None
    return CheckpointName(number, None, "periodic")


class _BareFile:
    """The check of a file whose name has no ending that tells its kind."""

    def __init__(self, stock: FileListing) -> None:
        is_bare = re.fullmatch(_BARE, stock.path.name) is not None
        self._name = stock.path.name if is_bare and not stock.is_directory else None

    def is_surplus(self, name: str) -> bool:
        """A single file is all of its checkpoint."""
        return False

    def check(self, fd: int, size: int, name: str) -> Check | None:
        """The check of the file. Raises DamagedError, OSError."""
        return check_msgpack(fd, size) if name == self._name else None


FORMAT = ToolFormat(
    names=(
        NameRule(".msgpack", r"(?:.*[-_])?(?P<step>\d{1,12})\.msgpack", "periodic", is_free=True),
    ),
    file_endings=(".msgpack",),
    shared_file=SharedFileName(_BARE, _read),
    prove_files=_BareFile,
)
