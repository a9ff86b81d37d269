"""One slot, for the process that writes it: mapped files, into which states are copied in place."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from supervisor.memory.seal import Seal, SealWriter, SlotState, Snapshot
from supervisor.memory.slots import WRITING, Lock, SlotPaths
from supervisor.system.private_directory import make_below
from supervisor.torch.copying import pin, unpin
from supervisor.torch.inflight import InFlight
from supervisor.torch.layout import Layout, StateContents
from supervisor.torch.pages import Pages, map_file

Copy = Callable[[list[Tensor], list[Tensor]], InFlight | None]
"""Copies sources (second) into views of a slot's memory (first)."""


@dataclass(slots=True)
class _File:
    """A mapped file, and what its pickle says now."""

    layout: Layout
    pages: Pages
    views: list[Tensor]
    is_pinned: bool
    pickle: bytes = b""

    def let_go(self) -> None:
        """Unpin the memory: it must not stay registered with CUDA once it is unmapped."""
        if self.is_pinned:
            unpin(self.pages.memory)


class Slot:
    """A slot that this process writes. Raises OSError where its folder cannot be made."""

    def __init__(self, paths: SlotPaths) -> None:
        self.paths = paths
        paths.folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = Lock(paths.lock)
        self._seal = SealWriter(paths.seal)
        self._files: dict[str, _File] = {}
        self._name = self._find_name()
        self._weights: str | None = None

    @property
    def seal(self) -> Seal:
        """What its seal says now."""
        return self._seal.current

    def has(self, layouts: Mapping[str, Layout]) -> bool:
        """Whether its files are laid out by these layouts."""
        return self._files.keys() == layouts.keys() and all(
            file.layout is layouts[name] for name, file in self._files.items()
        )

    def begin(self) -> bool:
        """Take the slot and say that it is not whole; False if a reader has locked it.

        Raises OSError (FileNotFoundError: it has vanished).
        """
        if not self._lock.acquire():
            return False
        try:
            # the seal first: readers go by the seal, not by the name
            self._seal.begin()
            if self._name != WRITING:
                (self.paths.folder / self._name).rename(self.paths.writing)
                self._name = WRITING
            elif not self.paths.writing.is_dir():
                raise FileNotFoundError(2, os.strerror(2), str(self.paths.writing))
        except BaseException:
            self._lock.release()
            raise
        return True

    def lay_out(
        self,
        layouts: Mapping[str, Layout],
        populate: Callable[[Pages], None],
        go_on: Callable[[], None],
    ) -> None:
        """Make the slot's files, after `begin` and before `give_up`. Raises OSError (ENOSPC)."""
        self._remove_others(layouts)
        for name, layout in layouts.items():
            file = self._files.get(name)
            if file is not None and file.layout is layout:
                continue
            path = self.paths.writing / name
            make_below(self.paths.writing, path.parent)
            pages = map_file(path, layout.size, go_on)
            populate(pages)
            for offset, data in layout.frame:
                pages.map[offset : offset + len(data)] = data
            if file is not None:
                file.let_go()
            is_pinned = layout.is_on_gpu and pin(pages.memory)
            self._files[name] = _File(layout, pages, layout.views(pages.memory), is_pinned)
        self._write_weights(layouts)

    def write(
        self, moments: Mapping[str, StateContents], small: Mapping[str, bytes], copy: Copy
    ) -> tuple[int, InFlight | None]:
        """Copy a state into the slot, after `begin` and before `finish`.

        Returns the bytes of all files, and the copies under way, which have to be done before
        `finish`. Raises OSError.
        """
        size = 0
        for name, data in small.items():
            with open(self.paths.writing / name, "wb") as target:
                target.write(data)
            size += len(data)
        views: list[Tensor] = []
        sources: list[Tensor] = []
        for name, moment in moments.items():
            file = self._files[name]
            if moment.pickle is not file.pickle:
                begin = file.layout.pickle_at
                file.pages.map[begin : begin + len(moment.pickle)] = moment.pickle
                file.pickle = moment.pickle
            views += file.views
            sources += moment.sources
            size += file.layout.size
        return size, copy(views, sources)

    def finish(self, sequence: int, snapshot: Snapshot) -> None:
        """Give the directory its name, close the seal, and let readers in. Raises OSError."""
        try:
            self.paths.writing.rename(self.paths.folder / snapshot.name)
            self._name = snapshot.name
            self._seal.close_over(sequence, snapshot)
        finally:
            self._lock.release()

    def give_up(self) -> None:
        """Release a slot that was begun; it stays as it is: not whole."""
        self._lock.release()

    def empty(self) -> None:
        """Give its memory back, if no reader has it. Raises OSError."""
        if self.begin():
            try:
                self.drop()
                self._remove_others({})
            finally:
                self.give_up()

    def drop(self) -> None:
        """Unmap its files."""
        for file in self._files.values():
            file.let_go()
        self._files.clear()

    def close(self) -> None:
        """Let go of everything; what is in the slot stays."""
        self.drop()
        self._seal.close()
        self._lock.close()

    def _find_name(self) -> str:
        """The name of the checkpoint directory: one that a dead writer left, or a new one."""
        snapshot = self._seal.current.snapshot
        if snapshot is not None and self.paths.checkpoint(snapshot).is_dir():
            return snapshot.name
        found = [entry.name for entry in os.scandir(self.paths.folder) if entry.is_dir()]
        for name in found[1:]:
            shutil.rmtree(self.paths.folder / name)
        if not found:
            self.paths.writing.mkdir(mode=0o700)
            return WRITING
        return found[0]

    def _remove_others(self, layouts: Mapping[str, Layout]) -> None:
        """Remove the files that the state no longer has, and let go of their mappings."""
        for name in self._files.keys() - layouts.keys():
            self._files.pop(name).let_go()
        for folder, _, names in os.walk(self.paths.writing):
            for name in names:
                path = Path(folder, name)
                if path.relative_to(self.paths.writing).as_posix() not in layouts:
                    path.unlink(missing_ok=True)

    def _write_weights(self, layouts: Mapping[str, Layout]) -> None:
        text = json.dumps({"files": {name: layout.weights for name, layout in layouts.items()}})
        if text != self._weights:
            self.paths.weights.write_text(text)
            self._weights = text


def is_whole(seal: Seal) -> bool:
    """Whether a slot can be resumed from, as far as its seal says."""
    return seal.state is SlotState.WHOLE
