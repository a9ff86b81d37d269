"""What a whole slot's snapshot is worth as a checkpoint to resume from; it changes no snapshot."""

import json
import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from supervisor.checkpoint.commit import check_training_state
from supervisor.checkpoint.digest import open_inside
from supervisor.checkpoint.layout import TRAINING_STATE
from supervisor.checkpoint.listing import FileListing, open_root
from supervisor.memory.checksums import Checksums, DamagedError
from supervisor.memory.persister_status import read_small
from supervisor.memory.slots import Whole
from supervisor.memory.stream import is_archive, list_files_of, sizes_of
from supervisor.memory.weights import read_weights, reason, scan_range
from supervisor.system.durable import replace_file

_BUFFER_BYTES = 1 << 20


class SlotVerdict(NamedTuple):
    """What was found. `problem` says why it is no whole checkpoint, None if it is one.

    `finite`: whether all weights are, None if it is unknown which bytes are weights. `reason` says
    which file has weights that are not.
    """

    finite: bool | None
    reason: str | None
    problem: str | None


class _PutOffError(Exception):
    """Something more urgent came up."""


def vet(
    whole: Whole, *, should_stop: Callable[[], bool] | None = None, keep: bool = True
) -> SlotVerdict | None:
    """Look at a snapshot's structure and weights, and keep the verdict in its slot (if `keep`).

    It takes no lock, so it never keeps a trainer from writing. Returns None if the slot changed
    meanwhile, or if `should_stop`, asked every MiB, said so. Nothing in a slot makes it raise.
    """
    try:
        verdict = _look(whole, should_stop)
    except _PutOffError:
        return None
    except ValueError as error:
        verdict = SlotVerdict(None, None, str(error))
    except OSError as error:
        verdict = SlotVerdict(None, None, f"cannot be read: {error.strerror or error}")
    if not whole.is_unchanged():
        return None
    if keep:
        keep_verdict(whole, verdict)
    return verdict


def read_verdict(whole: Whole) -> SlotVerdict | None:
    """The verdict kept of this very snapshot; None if it was not vetted."""
    raw = read_small(whole.slot.verdict)
    if raw is None:
        return None
    try:
        values = json.loads(raw)
        if values["sequence"] != whole.sequence:
            return None
        # A persister of another version may write more fields.
        verdict = SlotVerdict(*(values[name] for name in SlotVerdict._fields))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    is_sound = (verdict.finite is None or isinstance(verdict.finite, bool)) and all(
        text is None or isinstance(text, str) for text in (verdict.reason, verdict.problem)
    )
    return verdict if is_sound else None


def keep_verdict(whole: Whole, verdict: SlotVerdict) -> None:
    """Keep a verdict in its snapshot's slot."""
    record = json.dumps({"sequence": whole.sequence, **verdict._asdict()}).encode()
    # If the slot is gone or the tmpfs is full, the next reader vets the snapshot again.
    with suppress(OSError):
        replace_file(whole.slot.verdict, record, sync=False)


def _look(whole: Whole, should_stop: Callable[[], bool] | None) -> SlotVerdict:
    stock = list_files_of(whole)
    check_training_state(whole.path / TRAINING_STATE, whole.snapshot.step, whole.snapshot.epoch)
    for name in filter(is_archive, stock.files):
        _check_archive(stock, name)
    weights = read_weights(whole.slot, sizes_of(stock))
    finite: bool | None = True if weights else None
    buffer = memoryview(mmap.mmap(-1, _BUFFER_BYTES))
    for name, ranges in weights.items():
        with open_root(stock) as root_fd, open(open_inside(root_fd, name), "rb") as file:
            for one in ranges:
                found = scan_range(file.fileno(), one, buffer, lambda: _stop_if(should_stop))
                if found is False:
                    return SlotVerdict(False, reason(name), None)
                finite = finite and found
    return SlotVerdict(finite, None, None)


def _check_archive(stock: FileListing, name: str) -> None:
    with open_root(stock) as root_fd, open(open_inside(root_fd, name), "rb") as file:
        try:
            Checksums(file.fileno(), os.fstat(file.fileno()).st_size)
        except DamagedError as error:
            raise DamagedError(f"{name} {error}") from error


def _stop_if(should_stop: Callable[[], bool] | None) -> None:
    if should_stop is not None and should_stop():
        raise _PutOffError
