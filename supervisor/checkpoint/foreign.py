"""Proving another trainer's checkpoint: each file is checked and hashed. None is unpickled."""

from collections.abc import Iterable

from supervisor.checkpoint.completeness import check_completeness
from supervisor.checkpoint.contents import is_payload, own_files
from supervisor.checkpoint.digest import digest, open_inside
from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.formats.tool_format import FileProofs
from supervisor.checkpoint.listing import FileListing, open_root
from supervisor.checkpoint.names import parse_name
from supervisor.checkpoint.proofs.file_check import Check
from supervisor.checkpoint.records import Proof
from supervisor.checkpoint.structure import DamagedError, inspect


def prove(stock: FileListing) -> tuple[Proof, dict[str, str]]:
    """Check every state file. Returns how far the checkpoint is proven, and each file's xxh3-128.

    `structure`: the structure of every file was proven; `files`: of some it could not be. Raises
    DamagedError with a whole sentence about the checkpoint, OSError.
    """
    state = check_completeness(stock)
    own = own_files(stock.files) if stock.is_directory else _own_name(stock)
    proofs = [tool.prove_files(stock) for tool in TOOLS if tool.prove_files is not None]
    hashes: dict[str, str] = {}
    is_proof = True
    with open_root(stock) as root_fd:
        for name, facts in sorted(stock.files.items()):
            is_known = is_payload(name) or name.endswith(".json")
            if not is_known and name not in state:
                continue
            if not facts.is_regular:
                if is_known:
                    raise DamagedError(f"{name} is not a regular file (links are not followed)")
                continue
            if any(one.is_surplus(name) for one in proofs):
                continue
            with open(open_inside(root_fd, name), "rb", buffering=0) as file:
                try:
                    check = _check(stock, file.fileno(), name, proofs, is_own=name in own)
                    _, hashes[name] = digest(file.fileno(), check.feed)
                    check.finish()
                except DamagedError as error:
                    raise DamagedError(f"{name} {error}") from error
            is_proof = is_proof and check.is_proof
    return ("structure" if is_proof else "files"), hashes


def _own_name(stock: FileListing) -> frozenset[str]:
    """The single file, if a known trainer names its checkpoints so; else nothing.

    A name that only the user's pattern matches may be that of a raw array.
    """
    return frozenset(stock.files if parse_name(stock.path.name) is not None else ())


def _check(
    stock: FileListing, fd: int, name: str, proofs: Iterable[FileProofs], *, is_own: bool
) -> Check:
    size = stock.files[name].size
    told = (check for one in proofs if (check := one.check(fd, size, name)) is not None)
    return next(told, None) or inspect(
        fd, name, size, is_alone=not stock.is_directory, is_own=is_own
    )
