"""Checks safetensors files: the header is whole, its tensors fill the file, no weight is NaN.

Source: https://github.com/huggingface/safetensors#format
"""

import os
import re
from typing import Any

from supervisor.checkpoint.proofs.bounded_json import TooLargeError, parse, whole
from supervisor.checkpoint.proofs.file_check import Check, SeenAtOnce, read_exactly
from supervisor.checkpoint.proofs.nans import NanSearch, Tensor
from supervisor.checkpoint.proofs.zip_archive import DamagedError

_MOST_HEADER_BYTES = 100_000_000  # the limit of the safetensors library
_MOST_PARSED_HEADER_BYTES = 32 << 20
# The moments of torch's and optax's optimizers. They may diverge, and recover, without the weights.
_OPTIMIZERS = re.compile(r"optim|exp_avg|momentum|[./](?:mu|nu)[./]", re.IGNORECASE)
_ITEM_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
}


def check_safetensors(fd: int, end: int, *, begin: int = 0, are_weights: bool = False) -> Check:
    """The check for safetensors data from byte `begin` up to `end` of a file.

    `are_weights`: NaN in a tensor is damage, unless the tensor is a single number or its name says
    that it is an optimizer's.
    Raises DamagedError, OSError.
    """
    raw = os.pread(fd, 8, begin)
    length = int.from_bytes(raw, "little")
    room = end - begin - 8
    if len(raw) < 8 or length > min(room, _MOST_HEADER_BYTES):
        raise DamagedError("is cut short: it ends within its header")
    if length > _MOST_PARSED_HEADER_BYTES:
        return SeenAtOnce(is_proof=False)
    try:
        tensors = _read_tensors(parse(read_exactly(fd, length, begin + 8)))
    except TooLargeError:
        return SeenAtOnce(is_proof=False)
    except DamagedError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError("has a damaged header") from error
    position = 0
    for one in sorted(tensors, key=lambda one: one[:2]):
        if one.begin != position:
            raise DamagedError("has tensors that overlap or leave a gap")
        position = one.end
    if position != room - length:
        raise DamagedError(f"has {room - length} bytes of tensors, not {position}")
    if not are_weights:
        return SeenAtOnce(is_proof=True)
    data = begin + 8 + length
    return NanSearch(
        [
            one._replace(begin=one.begin + data, end=one.end + data)
            for one in tensors
            # A single number is more often a metric than a weight: `metric.min`, `last_loss`.
            if 8 * (one.end - one.begin) > _ITEM_BITS.get(one.dtype, 0)
            and _OPTIMIZERS.search(one.name) is None
        ]
    )


def _read_tensors(header: dict[str, Any]) -> list[Tensor]:
    """The tensors that a header names, with ranges relative to the data behind the header.

    Raises DamagedError for a tensor of an impossible size, and ValueError, KeyError, TypeError or
    AttributeError if it is no header.
    """
    tensors = []
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        begin, end = map(whole, tensor["data_offsets"])
        bits = _tensor_bits(tensor["dtype"], tensor["shape"])
        if begin > end or (bits is not None and bits != 8 * (end - begin)):
            raise DamagedError("has a tensor of an impossible size")
        tensors.append(Tensor(begin, end, tensor["dtype"], name))
    return tensors


def _tensor_bits(dtype: str, shape: list[object]) -> int | None:
    """The size of a tensor in bits; None for an unknown dtype. Raises ValueError, DamagedError."""
    extents = [whole(extent) for extent in shape]
    bits = _ITEM_BITS.get(dtype)
    if bits is None or 0 in extents:
        return None if bits is None else 0
    for extent in extents:
        bits *= extent
        # No file is so large. Without a limit, millions of extents would make an endless number.
        if bits >> 70:
            raise DamagedError("has a tensor of an impossible size")
    return bits
