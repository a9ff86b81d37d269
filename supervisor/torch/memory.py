"""The memory tier as a training loop meets it: there or not, full, vanished, in use."""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.memory.seal import Snapshot
from supervisor.torch.copying import Copier
from supervisor.torch.inflight import InFlight
from supervisor.torch.persisting import Persisting
from supervisor.torch.preparation import NoRoomError
from supervisor.torch.request import SaveRequest, Writer
from supervisor.torch.sealing import CHANGED, Sealing
from supervisor.torch.slot import Slot
from supervisor.torch.sources import StateSources
from supervisor.torch.tier import MemoryTier

# After a failure memory is tried again this much later.
RETRY_S = 300.0
_SLOT_S = 30.0
_POLL_S = 0.005
PREPARING = "the memory for snapshots is being prepared; training goes on meanwhile"
IN_USE = "both slots for snapshots are in use"
VANISHED = "the directory in memory vanished and is being made again"

_log = logging.getLogger("supervisor.torch")


class Kept(NamedTuple):
    """The number of a snapshot in memory; None, and why, if there is none."""

    sequence: int | None
    reason: str | None = None


class Memory:
    """Keeps one snapshot after another. Raises AlreadyWrittenError if another process does so."""

    def __init__(
        self,
        sources: StateSources,
        copier: Copier,
        persisting: Persisting,
        writer: Writer,
        refusal: str | None = None,
    ) -> None:
        """`refusal`: why there cannot be any memory."""
        self._root = persisting.root
        self._sources = sources
        self._copier = copier
        self._persisting = persisting
        self._writer = writer
        self._tier: MemoryTier | None = None
        self._sealing: Sealing | None = None
        self._retry_at = float("-inf") if refusal is None else float("inf")
        self._rebuilds_before = 0
        self.refusal = refusal
        """Why there is no memory now."""
        if refusal is None:
            self._open()

    @property
    def rebuilds(self) -> int:
        """How many times a state was laid out, the first included."""
        return self._rebuilds_before + (0 if self._tier is None else self._tier.rebuilds)

    @property
    def is_laid_out(self) -> bool:
        """Whether layouts are there, or are being made; also True if there is no memory now."""
        return self._tier is None or self._tier.is_laid_out

    def prepare(self) -> None:
        """Begin to lay the present state out, in the background."""
        tier = self._tier
        if tier is None or tier.is_laid_out:
            return
        try:
            tier.prepare(self._sources.collect())
            self._persisting.start()
        except OSError as error:
            self._refuse(error)

    def keep(self, request: SaveRequest, contents: Mapping[str, Any]) -> Kept:
        """Put a state into a slot. If it is wanted on the disk, wait until its memory is made.

        Raises what torch.save raises for such a state.
        """
        self.finish()
        if self._tier is None and time.monotonic() >= self._retry_at:
            self._open()
        tier = self._tier
        if tier is None:
            return Kept(None, self.refusal)
        try:
            if tier.has_vanished():
                tier = self._remake()
            return self._keep(tier, request, contents)
        except NoRoomError as error:
            return self._refuse(error)
        except OSError as error:
            if self._tier is None or not self._tier.has_vanished():
                return self._refuse(error)
        return Kept(None, VANISHED)

    def hold(self) -> None:
        """Make the devices' next work wait for copies that are under way."""
        sealing = self._sealing
        if sealing is not None:
            sealing.copies.hold()

    def look(self) -> None:
        """Take note of how the last snapshot ended, if it has."""
        if self._sealing is not None and self._sealing.is_over:
            self.finish()

    def finish(self) -> bool:
        """Wait for the last snapshot; True if it is whole (or there is none), False if given up."""
        sealing = self._sealing
        if sealing is None:
            return True
        sealing.join()
        self._sealing = None
        if sealing.problem is not None:
            record = sealing.record
            _log.warning("no snapshot of step %d: %s", record.step, sealing.problem)
            if sealing.problem == CHANGED:
                self._copier.be_patient()
            if record.is_wanted:
                self._persisting.fail(sealing.sequence, record, sealing.problem)
        self._make_ready()
        return sealing.problem is None

    def close(self) -> None:
        """Let go; what is whole stays for the persister, and for the next attempt."""
        self.finish()
        if self._tier is not None:
            self._tier.close()
            self._tier = None
        self.refusal, self._retry_at = "the checkpointer is closed", float("inf")

    def _keep(self, tier: MemoryTier, request: SaveRequest, contents: Mapping[str, Any]) -> Kept:
        deadline = time.monotonic() + _SLOT_S
        while True:
            reason = PREPARING
            moments = tier.take(contents, wait=request.is_wanted)
            if moments is not None:
                reason = IN_USE
                self._persisting.look()
                # a save may replace a save that waits for the disk, a mere snapshot may not
                waiting = None if request.is_wanted else self._persisting.newest_waiting
                slot = tier.choose(spare=waiting)
                if slot is not None:
                    break
            if not request.is_wanted or time.monotonic() > deadline:
                return Kept(None, reason)
            time.sleep(_POLL_S)
        self._persisting.keep_only(tier.whole)
        sequence = tier.next_sequence()
        copies: InFlight | None = None
        try:
            size, copies = slot.write(moments, request.small, self._copier)
            record = self._writer.record(request, size)
            seal = partial(self._seal, slot, sequence, record)
            if copies is not None:
                self._sealing = Sealing(copies, sequence, record, seal, slot.give_up)
        except BaseException:
            if copies is not None:
                copies.wait()
            slot.give_up()
            raise
        if self._sealing is None:
            seal()
            self._make_ready()
        else:
            self._sealing.begin()
        return Kept(sequence)

    def _seal(self, slot: Slot, sequence: int, record: Snapshot) -> None:
        slot.finish(sequence, record)
        if record.is_wanted:
            path = Path(record.directory, record.name)
            self._persisting.want(sequence, record.step, path)
        self._persisting.ring()

    def _make_ready(self) -> None:
        if self._tier is not None:
            self._tier.make_ready(spare=self._persisting.newest_waiting)

    def _open(self) -> None:
        try:
            self._tier = MemoryTier(self._root, self._sources.weight_test)
            self.refusal = None
        except OSError as error:
            self._refuse(error)

    def _remake(self) -> MemoryTier:
        """Begin anew after the directory was emptied (logind's RemoveIPC). Raises OSError."""
        assert self._tier is not None
        self._let_go_of(self._tier)
        self._persisting.forget()
        self._tier = MemoryTier(self._root, self._sources.weight_test)
        return self._tier

    def _refuse(self, problem: OSError | NoRoomError) -> Kept:
        """Do without memory for a while, and give back that of slots that are not whole."""
        text = str(problem)
        if isinstance(problem, OSError) and problem.strerror:
            text = f"{problem.strerror} ({problem.filename or self._root})"
        self.refusal = f"no snapshots in memory: {text}"
        self._retry_at = time.monotonic() + RETRY_S
        tier, self._tier = self._tier, None
        if tier is not None:
            with suppress(OSError):
                tier.shrink()
            self._let_go_of(tier)
        return Kept(None, self.refusal)

    def _let_go_of(self, tier: MemoryTier) -> None:
        self._rebuilds_before += tier.rebuilds
        tier.close()
