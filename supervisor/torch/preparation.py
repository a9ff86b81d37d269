"""Laying a state out and making the memory for it, in the background, before it is needed."""

import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from supervisor.memory.space import room, used_bytes
from supervisor.torch.background import BackgroundThread
from supervisor.torch.layout import Layout, build
from supervisor.torch.pages import Pages, be_nice, populate
from supervisor.torch.slot import Slot
from supervisor.torch.structure import UnknownError, copy_containers

WeightTest = Callable[[str], Callable[[Tensor], bool]]
"""Returns, for a file's name, the test whether a tensor must be finite."""
SCRATCH = "layout"


class NoRoomError(Exception):
    """The memory tier does not fit; the message says why."""


class _UnwantedError(Exception):
    """The preparation was stopped."""


class Preparation:
    """One preparation, in a thread; the training thread asks whether it is done.

    It only begins slots that it was given, and releases them at its end.
    """

    def __init__(
        self,
        root: Path,
        layouts: Mapping[str, Layout],
        contents: Mapping[str, Any],
        slots: list[Slot],
        weight_test: WeightTest,
    ) -> None:
        """`contents` are states to be laid out anew; `layouts` may have older ones of the files."""
        self._root = root
        self._slots = slots
        self._weight_test = weight_test
        self._is_stopping = False
        self._problem: BaseException | None = None
        self.layouts = dict(layouts)
        self.rebuilt = len(contents)
        self._contents: dict[str, Any] = {}
        for name, content in contents.items():
            try:
                # copied, since training goes on to change the containers that it was given
                self._contents[name] = copy_containers(content)
            except UnknownError:
                self._build(name, content)
        self._thread = BackgroundThread("snapshot-memory", self._run, self._ask_to_stop)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether `result` would not wait."""
        return not self._thread.is_alive()

    def result(self) -> dict[str, Layout]:
        """Wait for the layouts; the slots that were free have them then.

        Raises NoRoomError, OSError, and whatever torch.save raises for such a state.
        """
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        return self.layouts

    def stop(self) -> None:
        """Stop it, and return when it has ended."""
        self._ask_to_stop()
        self._thread.join()

    def _ask_to_stop(self) -> None:
        self._is_stopping = True

    def _run(self) -> None:
        try:
            while self._contents:
                self._go_on()
                self._build(*self._contents.popitem())
            self._require_room()
            for slot in self._slots:
                self._lay_out(slot)
        except _UnwantedError:
            return
        except BaseException as error:  # `result` raises it
            self._problem = error

    def _build(self, name: str, content: Any) -> None:
        scratch = self._root / SCRATCH
        try:
            self.layouts[name] = build(name, content, scratch, self._weight_test(name))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _require_room(self) -> None:
        size = sum(layout.size for layout in self.layouts.values())
        found = room(self._root, max(0, 2 * size - used_bytes(self._root)))
        if not found.fits:
            raise NoRoomError(found.why)

    def _lay_out(self, slot: Slot) -> None:
        if not slot.begin():
            return  # a reader has it: the next preparation lays it out
        try:
            slot.lay_out(self.layouts, self._populate, self._go_on)
        finally:
            slot.give_up()

    def _populate(self, pages: Pages) -> None:
        """Populate in another thread, which stays at low priority: this one needs the GIL."""
        problems: list[BaseException] = []

        def run() -> None:
            try:
                be_nice()
                populate(pages, self._go_on)
            except BaseException as error:  # raised below, in the thread that waits
                problems.append(error)

        thread = threading.Thread(target=run, name="snapshot-pages", daemon=True)
        thread.start()
        thread.join()
        for problem in problems:
            raise problem

    def _go_on(self) -> None:
        if self._is_stopping:
            raise _UnwantedError
