"""The manifest, which makes a directory a checkpoint of ours. This module touches no disk."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

import xxhash

from supervisor.checkpoint.layout import MANIFEST, TRAINING_STATE, is_safe_name
from supervisor.checkpoint.proofs.bounded_json import parse, whole

__all__ = [
    "FORMAT",
    "MANIFEST",
    "TRAINING_STATE",
    "FileRecord",
    "Kind",
    "Manifest",
    "ManifestError",
    "is_safe_name",
    "resembles_manifest",
]

FORMAT = 1
_SELF_HASH = b'\n "manifest_xxh3_128": "'
_END = b'"\n}\n'
_HASH_DIGITS = 32
_T = TypeVar("_T")
# A JSON object with at least four of these keys is ours, however broken it is. Fewer do not tell:
# the manifest of a data set may well have `format` and `files`.
_OUR_KEYS = frozenset({"format", "run_id", "resumed_from", "files", "finite", "manifest_xxh3_128"})
_LEAST_KEYS = 4


class Kind(StrEnum):
    """Why a checkpoint was written."""

    PERIODIC = "periodic"
    EPOCH = "epoch"
    EMERGENCY = "emergency"
    FINAL = "final"


class ManifestError(ValueError):
    """What is wrong with a manifest, as a phrase that completes 'the manifest …'."""


class FileRecord(NamedTuple):
    """One file as it was written: its size in bytes and its xxh3-128 in lower-case hex."""

    size: int
    xxh3_128: str


class Manifest(NamedTuple):
    """What a checkpoint consists of and where it comes from.

    `epoch` is an index from 0. `resumed_from` is the name of the checkpoint that the saving attempt
    resumed from. `finite` says whether all weights are finite; None: they were not looked at.
    """

    step: int
    epoch: int
    kind: Kind
    run_id: str | None
    attempt: int | None
    resumed_from: str | None
    wall_time: str
    world_size: int
    torch_version: str | None
    finite: bool | None
    files: Mapping[str, FileRecord]
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """JSON whose last value is the hash of all bytes before it."""
        record = {
            "format": self.format,
            "step": self.step,
            "epoch": self.epoch,
            "kind": self.kind.value,
            "run_id": self.run_id,
            "attempt": self.attempt,
            "resumed_from": self.resumed_from,
            "wall_time": self.wall_time,
            "world_size": self.world_size,
            "torch_version": self.torch_version,
            "finite": self.finite,
            "files": {
                name: {"size": file.size, "xxh3_128": file.xxh3_128}
                for name, file in sorted(self.files.items())
            },
        }
        body = json.dumps(record, indent=1).encode()
        head = body[: -len(b"\n}")] + b"," + _SELF_HASH
        return head + xxhash.xxh3_128_hexdigest(head).encode() + _END

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Read back what `to_bytes` wrote. Raises ManifestError if a single bit differs."""
        head, digest = data[: -_HASH_DIGITS - len(_END)], data[-_HASH_DIGITS - len(_END) :]
        if not head.endswith(_SELF_HASH) or not digest.endswith(_END):
            raise ManifestError("is cut short or damaged")
        if xxhash.xxh3_128_hexdigest(head).encode() + _END != digest:
            raise ManifestError("does not match its own hash")
        try:
            record: dict[str, Any] = parse(data)
            if record["format"] != FORMAT:
                raise ManifestError(f"has format {record['format']}; this program reads {FORMAT}")
            files = {
                name: FileRecord(whole(file["size"]), str(file["xxh3_128"]))
                for name, file in record["files"].items()
            }
            manifest = cls(
                step=whole(record["step"]),
                epoch=whole(record["epoch"]),
                kind=Kind(record["kind"]),
                run_id=_optional(record["run_id"], str),
                attempt=_optional(record["attempt"], int),
                resumed_from=_optional(record["resumed_from"], str),
                wall_time=str(record["wall_time"]),
                world_size=whole(record["world_size"]),
                torch_version=_optional(record["torch_version"], str),
                finite=_optional(record["finite"], bool),
                files=files,
            )
        except ManifestError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ManifestError(f"has unexpected content ({error!r:.200})") from error
        # A manifest with a right hash may be forged: its names must not lead out of the directory.
        for name in files:
            if not is_safe_name(name) or name == MANIFEST:
                raise ManifestError(f"names {name!r}, which cannot be a file of a checkpoint")
        if TRAINING_STATE not in files:
            raise ManifestError(f"does not list {TRAINING_STATE}")
        return manifest


def _optional(value: object, kind: "type[_T]") -> "_T | None":
    """A value of that kind or None. Raises ValueError."""
    if value is not None and type(value) is not kind:
        raise ValueError(f"{value!r:.40} is not of type {kind.__name__}")
    return value


def resembles_manifest(data: bytes, *, if_unreadable: bool = True) -> bool:
    """Whether a `manifest.json` is, or once was, ours: other tools use that name too.

    `if_unreadable`: the answer if it is not JSON. Another tool's manifest would be JSON at least.
    """
    try:
        record = parse(data)
    except ValueError:
        return if_unreadable
    return isinstance(record, dict) and len(_OUR_KEYS & record.keys()) >= _LEAST_KEYS
