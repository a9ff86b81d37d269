"""Proves that a checkpoint is whole: by its manifest's hashes, or by the structure of its files.

It unpickles nothing, and follows no link inside a checkpoint. Damage is a value that it returns,
whatever the bytes are.
"""

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from supervisor.checkpoint import foreign
from supervisor.checkpoint.digest import digest, open_inside
from supervisor.checkpoint.format import Manifest, ManifestError, resembles_manifest
from supervisor.checkpoint.inside import read_inside
from supervisor.checkpoint.layout import MANIFEST
from supervisor.checkpoint.listing import YOUNG_S, FileListing, open_root
from supervisor.checkpoint.named_listing import list_files
from supervisor.checkpoint.named_step import find_other_step
from supervisor.checkpoint.position import is_marked, read_position
from supervisor.checkpoint.records import ENDED, NOT_FINITE, CheckpointEntry, Proof
from supervisor.checkpoint.structure import DamagedError

_MOST_MANIFEST_BYTES = 32 << 20
# The errors for a listed file that is absent, or has become a link or a socket, or lies in what is
# no folder now.
_DAMAGE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO)


class Validation(NamedTuple):
    """The verdict on a checkpoint. `valid` is None if it could not be read, or changed meanwhile.

    `hashes` are xxh3-128 in lower-case hex, by relative name. `ours`: the checkpoint has our
    manifest or mark. `rememberable`: the verdict may be kept under `fingerprint`. `epoch` is an
    index from 0.
    """

    valid: bool | None
    proof: Proof | None
    reason: str | None
    step: int | None = None
    epoch: int | None = None
    kind: str | None = None
    bytes: int = 0
    hashes: Mapping[str, str] = MappingProxyType({})
    fingerprint: str = ""
    finite: bool | None = None
    run_id: str | None = None
    ours: bool = False
    rememberable: bool = False


class ManifestClaim(NamedTuple):
    """Whether a checkpoint is of our format, and its manifest or what is wrong with the manifest.

    The files that the manifest lists are not read for it.
    """

    ours: bool
    manifest: Manifest | None = None
    problem: str | None = None


def is_resumable(found: Validation | CheckpointEntry) -> bool:
    """Whether training may resume from a checkpoint.

    It must be valid and have what resuming needs, and no weight of it may be known to be NaN or
    infinite.
    """
    return found.valid is True and found.finite is not False and found.reason != ENDED


def validate(path: Path, *, expect_manifest: bool = False) -> Validation:
    """Prove a checkpoint, which is a directory or a single file. A link as `path` is resolved.

    `expect_manifest`: the checkpoint had a manifest before, so that one must be there. Raises
    nothing, whatever is on the disk.
    """
    try:
        stock = list_files(Path(os.path.realpath(path)))
    except FileNotFoundError:
        return Validation(valid=False, proof=None, reason="it does not exist")
    except OSError as error:
        return Validation(valid=None, proof=None, reason=_unreadable(error))
    verdict = prove(stock, expect_manifest=expect_manifest)
    if not verdict.valid or verdict.ours:
        return verdict
    try:
        said = find_other_step(stock)
    except OSError as error:
        return _open(stock, _unreadable(error))
    return verdict if said is None else verdict._replace(valid=False, reason=said)


def prove(stock: FileListing, *, expect_manifest: bool = False) -> Validation:
    """Prove a listed checkpoint. `valid` is None if it changed meanwhile or cannot be read."""
    try:
        claim = read_claim(stock, expect_manifest=expect_manifest)
        verdict = _prove_ours(stock, claim) if claim.ours else _prove_foreign(stock)
        is_unchanged = list_files(stock.path).fingerprint == stock.fingerprint
    except FileNotFoundError:
        if os.path.lexists(stock.path):
            return _open(stock, "it changed while it was read")
        return Validation(valid=False, proof=None, reason="it does not exist")
    except OSError as error:
        # After a stale handle, a missing permission or an unreadable sector, the checkpoint is
        # neither chosen nor called invalid.
        return _open(stock, _unreadable(error))
    if not is_unchanged:
        return _open(stock, "it changed while it was read")
    return verdict._replace(rememberable=stock.is_older_than(YOUNG_S))


def read_claim(stock: FileListing, *, expect_manifest: bool = False) -> ManifestClaim:
    """Whether a checkpoint is of our format, and its manifest if that is whole. Raises OSError."""
    if not stock.is_directory:
        return ManifestClaim(ours=False)
    is_ours = expect_manifest or is_marked(stock)
    facts = stock.files.get(MANIFEST)
    if facts is None:
        return ManifestClaim(ours=is_ours, problem=f"{MANIFEST} is missing")
    data = stock.read(MANIFEST, _MOST_MANIFEST_BYTES)
    if data is None:
        return ManifestClaim(
            ours=True, problem=f"{MANIFEST} is not a file, or larger than any manifest"
        )
    try:
        return ManifestClaim(ours=True, manifest=Manifest.from_bytes(data))
    except ManifestError as error:
        return ManifestClaim(
            ours=is_ours or resembles_manifest(data), problem=f"{MANIFEST} {error}"
        )


def _prove_ours(stock: FileListing, claim: ManifestClaim) -> Validation:
    manifest = claim.manifest
    if manifest is None:
        place = read_position(stock)
        return Validation(
            valid=False,
            proof="hashes",
            reason=claim.problem,
            step=place.step,
            epoch=place.epoch,
            kind=place.kind,
            bytes=stock.total_bytes,
            fingerprint=stock.fingerprint,
            ours=True,
        )
    damage = _find_damage(stock, manifest)
    reason = damage or (NOT_FINITE if manifest.finite is False else None)
    return Validation(
        valid=damage is None,
        proof="hashes",
        reason=reason,
        step=manifest.step,
        epoch=manifest.epoch,
        kind=manifest.kind.value,
        bytes=stock.total_bytes,
        hashes={name: file.xxh3_128 for name, file in manifest.files.items()},
        fingerprint=stock.fingerprint,
        finite=manifest.finite,
        run_id=manifest.run_id,
        ours=True,
    )


def _find_damage(stock: FileListing, manifest: Manifest) -> str | None:
    """A sentence on the first file that differs from the manifest; None if none does.

    Raises OSError if a file cannot be read.
    """
    for name, expected in manifest.files.items():
        facts = stock.files.get(name)
        if facts is None:
            return f"{name} is missing"
        if not facts.is_regular:
            return f"{name} is not a regular file (links are not followed)"
        if facts.size != expected.size:
            return f"{name} has {facts.size} bytes, not {expected.size}"
    with open_root(stock) as root_fd:
        for name, expected in manifest.files.items():
            try:
                fd = open_inside(root_fd, name)
            except OSError as error:
                if error.errno not in _DAMAGE:
                    raise
                return f"{name} cannot be opened ({error.strerror})"
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return f"{name} is not a file"
                size, hexdigest = digest(fd)
            finally:
                os.close(fd)
            if (size, hexdigest) != (expected.size, expected.xxh3_128):
                return f"{name} does not match its hash"
    return None


def _prove_foreign(stock: FileListing) -> Validation:
    place = read_position(stock)
    proof: Proof = "structure"
    hashes: dict[str, str] = {}
    reason = None
    try:
        proof, hashes = foreign.prove(stock)
    except DamagedError as error:
        reason = str(error)
    is_valid = reason is None
    if is_valid and read_inside(stock).is_spent:
        reason = ENDED
    return Validation(
        valid=is_valid,
        proof=proof,
        reason=reason,
        step=place.step,
        epoch=place.epoch,
        kind=place.kind,
        bytes=stock.total_bytes,
        hashes=hashes,
        fingerprint=stock.fingerprint,
    )


def _open(stock: FileListing, reason: str) -> Validation:
    return Validation(
        valid=None,
        proof=None,
        reason=reason,
        bytes=stock.total_bytes,
        fingerprint=stock.fingerprint,
    )


def _unreadable(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or error} ({error.filename or 'a file in it'})"
