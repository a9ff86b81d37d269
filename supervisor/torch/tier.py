"""The memory tier as its one writer has it: two slots, the newest whole one never at risk."""

import itertools
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from supervisor.memory.slot_choice import writable
from supervisor.memory.slots import Lock, make_root
from supervisor.torch.layout import Layout, StateContents
from supervisor.torch.preparation import Preparation, WeightTest
from supervisor.torch.slot import Slot, is_whole
from supervisor.torch.structure import MismatchError


class AlreadyWrittenError(RuntimeError):
    """Another process writes snapshots to this directory."""


class MemoryTier:
    """The slots of a snapshot directory. Raises AlreadyWrittenError, OSError."""

    def __init__(self, root: Path, weight_test: WeightTest) -> None:
        self.root = root
        self.rebuilds = 0
        self._weight_test = weight_test
        paths = make_root(root)
        self._writer_path = os.fspath(paths.writer_lock)
        self._writer = Lock(paths.writer_lock)
        if not self._writer.acquire():
            self._writer.close()
            raise AlreadyWrittenError(
                f"another process writes snapshots to {root}: only one process of a run may save"
                " (rank 0, if there are several ranks), and two runs need two checkpoint"
                " directories"
            )
        self._slots = [Slot(slot) for slot in paths.slots]
        newest = max(slot.seal.sequence for slot in self._slots)
        self._sequences = itertools.count(newest + 1)
        self._layouts: dict[str, Layout] = {}
        self._preparation: Preparation | None = None
        self._is_fresh = False

    def has_vanished(self) -> bool:
        """Whether the directory was emptied (logind's RemoveIPC does that)."""
        return not os.path.lexists(self._writer_path)

    @property
    def is_laid_out(self) -> bool:
        """Whether layouts are there, or are being made."""
        return bool(self._layouts) or self._preparation is not None

    def prepare(self, contents: Mapping[str, Any]) -> None:
        """Begin to lay a state out, in the background, unless that has begun already."""
        if self._preparation is None:
            self._start(contents, self._layouts)

    def take(self, contents: Mapping[str, Any], *, wait: bool) -> dict[str, StateContents] | None:
        """What to copy of the present state; None while memory is being made, unless `wait`.

        A state that changed its shape is laid out anew. Raises NoRoomError, OSError, and whatever
        torch.save raises for such a state.
        """
        while True:
            if not self._settle(wait=wait):
                return None
            moments, changed = self._match(contents)
            if not changed and moments.keys() == self._layouts.keys():
                return moments
            # wait if the last layout was obsolete before its first use: the state always changes
            wait = wait or self._is_fresh
            kept = {name: self._layouts[name] for name in moments if name in self._layouts}
            self._start({name: contents[name] for name in changed}, kept)

    def choose(self, *, spare: int | None) -> Slot | None:
        """Begin the slot to be written next; None if there is none now.

        `spare`: a sequence that must stay, since it is wanted on the disk and not there yet.
        """
        for slot in self._order():
            seal = slot.seal
            if spare is not None and is_whole(seal) and seal.sequence == spare:
                continue
            if not slot.has(self._layouts):
                self._start({}, self._layouts, slot)
                return None
            if slot.begin():
                return slot
        return None

    def next_sequence(self) -> int:
        """A number above all before."""
        self._is_fresh = False
        return next(self._sequences)

    def make_ready(self, *, spare: int | None) -> None:
        """Lay the other slot out, after one became whole, before it is needed."""
        first = self._order()[0]
        if first.has(self._layouts) or self._preparation is not None:
            return
        if spare is None or first.seal.sequence != spare:
            self._start({}, self._layouts, first)

    @property
    def whole(self) -> set[int]:
        """The sequences of the whole snapshots in memory."""
        return {slot.seal.sequence for slot in self._slots if is_whole(slot.seal)}

    def shrink(self) -> None:
        """Give back the memory of all slots that are not whole, since memory is short."""
        self._layouts = {}
        for slot in self._slots:
            if not is_whole(slot.seal):
                slot.empty()

    def close(self) -> None:
        """Let go of everything; what is whole stays."""
        if self._preparation is not None:
            self._preparation.stop()
        for slot in self._slots:
            slot.close()
        with suppress(OSError):
            self._writer.close()

    def _order(self) -> list[Slot]:
        """Slots that may be written, the best first: never the only whole one."""
        return [self._slots[index] for index in writable([slot.seal for slot in self._slots])]

    def _start(
        self, contents: Mapping[str, Any], kept: Mapping[str, Layout], slot: Slot | None = None
    ) -> None:
        if slot is not None:
            slots = [slot]
        else:
            order = self._order()
            # of two whole slots only the older: the newer waits until the other is whole again
            slots = order[:1] if is_whole(order[0].seal) else order
        self._preparation = Preparation(self.root, kept, contents, slots, self._weight_test)

    def _settle(self, *, wait: bool) -> bool:
        preparation = self._preparation
        if preparation is None:
            return True
        if not wait and not preparation.is_done:
            return False
        self._preparation = None
        self._layouts = preparation.result()
        if preparation.rebuilt:
            self.rebuilds += 1
            self._is_fresh = True
        return True

    def _match(self, contents: Mapping[str, Any]) -> tuple[dict[str, StateContents], list[str]]:
        moments: dict[str, StateContents] = {}
        changed: list[str] = []
        for name, content in contents.items():
            layout = self._layouts.get(name)
            try:
                if layout is None:
                    raise MismatchError
                moments[name] = layout.take(content)
            except MismatchError:
                changed.append(name)
        return moments, changed
