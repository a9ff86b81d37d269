"""What a training loop talks to: snapshots in memory, and saves that the disk takes later.

It decides when to take one. How a state is laid out, copied and persisted is elsewhere.
"""

import logging
import os
import time
import weakref
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from supervisor.checkpoint.format import Kind
from supervisor.torch.copying import Copier, Streams
from supervisor.torch.memory import PREPARING, Memory
from supervisor.torch.outcome import Saved, Taken
from supervisor.torch.pace import Pace
from supervisor.torch.persisting import Persisting
from supervisor.torch.place import own_root, settle
from supervisor.torch.request import SaveRequest, make_request, writer_of
from supervisor.torch.save_pace import SavePace, nodes_here, ranks, terms_given
from supervisor.torch.save_telling import SaveTelling
from supervisor.torch.sources import Source, StateSources
from supervisor.torch.streaming import save_directly
from supervisor.worker import Worker

_log = logging.getLogger("supervisor.torch")
# SGD without momentum never gets a state: after so many steps its state is not waited for.
_STEPS_TO_WAIT = 4
_DECIDES_ALONE = (
    "this rank decides by its own clock when to save, and other ranks cannot know; if they take"
    " part in a save (a state that is gathered), ask a SaveAgreement on each rank, or they wait"
    " for each other for ever"
)


class Checkpointer:
    """The checkpoints of one training process; only one process of a run may have one.

    `sources`: what goes into each file, as objects with `state_dict()`, functions that return a
    state, or dicts. `snapshot_steps`: how often memory gets the state; `auto`: as often as costs
    less than 1 % of the time; 0: only saves. `save_steps`: steps between two saves of `after_step`;
    `auto`: as often as loses the least time; 0: none. `checkpoints: {interval: auto}` in the
    supervisor's configuration has the same effect, whatever stands here. `weights`:
    files all of whose floats must be finite, beside the parameters of modules. `patience_s`: how
    long a save waits until an earlier save is on the disk; after that it may replace that one.
    Raises AlreadyWrittenError, ConfigurationError, TypeError, ValueError. `with` closes it.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        directory: Path | str,
        run: Worker | None = None,
        snapshot_steps: int | str = "auto",
        save_steps: int | str = 0,
        weights: Collection[str] | None = None,
        resumed_from: str | None = None,
        patience_s: float = 0.0,
        streams: Streams | None = None,
    ) -> None:
        self._sources = StateSources(sources, weights)
        self._pace = Pace(snapshot_steps)
        self._saves = SavePace(save_steps, terms_given(), nodes_here())
        self._telling = SaveTelling()
        self._is_asked = self._is_agreed = False
        self._patience_s = patience_s
        self._is_patient = True
        self._is_owed = False
        self._said: str | None = None
        self._steps_seen = 0
        self._writer = writer_of(directory, run, resumed_from)
        root, refusal = self._writer.snapshot_dir, None
        is_own = root is None
        if root is None:
            for problem in settle(self._writer.directory):
                _log.warning(problem)
            root, refusal = own_root(self._writer.directory)
        self._persisting = Persisting(root, is_own=is_own)
        copier = Copier(self._sources.optimizers, streams)
        self._memory = Memory(self._sources, copier, self._persisting, self._writer, refusal)
        self._hooks = [register_optimizer_step_pre_hook(self._before_optimizer)]
        if self._sources.optimizers:
            self._hooks.append(register_optimizer_step_post_hook(self._after_optimizer))
        else:
            self._memory.prepare()
        _let_go_in_children(self)

    @property
    def rebuilds(self) -> int:
        """How many times a state was laid out, the first included."""
        return self._memory.rebuilds

    def after_step(
        self,
        step: int,
        *,
        epoch: int = 0,
        state: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
        before: Sequence[Path | str] = (),
    ) -> Taken | None:
        """Save or take a snapshot if it is time for one; None if it is not."""
        if self.is_save_due(step):
            return self.save(step, epoch=epoch, state=state, files=files, before=before)
        if not self.is_due(step):
            return None
        return self.snapshot(step, epoch=epoch, state=state, files=files, before=before)

    def is_save_due(self, step: int) -> bool:
        """Whether to save after this step, by `save_steps`; ask once a step."""
        is_due = self._saves.is_due(step, time.monotonic())
        if not self._is_asked:
            self._is_asked = True
            self._telling.tell(self._saves.told(is_asked=True))
            if self._saves.is_auto and not self._is_agreed and ranks() > 1:
                _log.warning(_DECIDES_ALONE)
        return is_due

    def join_agreement(self) -> None:
        """Note that a `SaveAgreement` tells the other ranks when a save is due."""
        self._is_agreed = True

    def steps_to_look(self, step: int, *, is_due: bool) -> int:
        """After how many steps a `SaveAgreement` asks the other ranks again."""
        return self._saves.steps_ahead(step, is_due=is_due)

    def is_due(self, step: int) -> bool:
        """Whether memory should get the state after this step; ask once a step."""
        is_due = self._pace.is_due(step, time.monotonic())
        return is_due or self._is_owed

    def snapshot(
        self,
        step: int,
        *,
        epoch: int = 0,
        name: str | None = None,
        state: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
        before: Sequence[Path | str] = (),
    ) -> Taken:
        """Put the present state into memory. `epoch` is an index from 0.

        `state` goes into `training_state.json`, `files` beside it. `before`: files that have to be
        durable before this checkpoint is (a metrics file). Raises ValueError if `state` contradicts
        the step or epoch, and what torch.save raises for a state that cannot be pickled.
        """
        kind = Kind.PERIODIC
        return self._take(
            make_request(step, epoch, kind, name, state, files, before, is_wanted=False)
        )

    def save(
        self,
        step: int,
        *,
        epoch: int = 0,
        kind: Kind | str = Kind.PERIODIC,
        name: str | None = None,
        state: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
        before: Sequence[Path | str] = (),
        wait: bool = False,
    ) -> Taken:
        """Take a snapshot that is wanted on the disk; `news` tells when it is there.

        With `wait` it returns when the disk has it, or has refused it: `saved` says which. If
        memory has no room, the state goes straight to the disk, and training waits for that. Raises
        as `snapshot` does.
        """
        request = make_request(step, epoch, kind, name, state, files, before, is_wanted=True)
        return self._take(request, wait=wait)

    def news(self) -> list[Saved]:
        """The saves that ended since the last call, successful or not. Cheap: a stat."""
        self._memory.look()
        news = self._persisting.news()
        for saved in news:
            self._saves.ended(saved, time.monotonic())
        self._is_patient = self._is_patient or bool(news)
        return news

    @property
    def newest_waiting_step(self) -> int | None:
        """The step of the newest save that has not ended."""
        return self._persisting.newest_waiting_step

    def drain(self) -> None:
        """Return when all saves have ended; `news` tells how."""
        self._memory.finish()
        self._persisting.drain()

    def wait_for_copies(self) -> None:
        """Return when the last snapshot is whole. Call it before weights change by other means."""
        self._memory.finish()

    def close(self) -> None:
        """Let go of everything; without a supervisor the newest state is on the disk then."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._memory.close()
        problem = self._persisting.close()
        if problem is not None:
            _log.warning(problem)

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self, request: SaveRequest, *, wait: bool = False) -> Taken:
        began_s = time.monotonic()
        if request.is_wanted and not wait and self._patience_s and self._is_patient:
            self._is_patient = self._persisting.wait_for_room(self._patience_s)
        contents = self._sources.collect()
        kept = self._memory.keep(request, contents)
        saved: Saved | None = None
        if kept.sequence is not None:
            stall_s = time.monotonic() - began_s
            self._pace.taken(time.monotonic(), stall_s)
            if wait:
                is_whole = self._memory.finish()
                saved = self._persisting.wait_for(kept.sequence)
                saved = saved if is_whole else None  # the state can still be saved directly
        self._is_owed = kept.reason == PREPARING
        if kept.sequence is None or (wait and saved is None):
            if kept.reason != PREPARING:
                self._say(kept.reason)
            if request.is_wanted:
                saved = self._save_directly(request, contents)
            stall_s = time.monotonic() - began_s
        if request.is_wanted:
            now = time.monotonic()
            held_s = now - began_s if wait else stall_s
            is_failed = saved is not None and not saved.ok
            self._saves.taken(began_s, now, None if is_failed else held_s, is_waited=wait)
            if saved is not None:
                self._saves.ended(saved, now)
            self._telling.tell(self._saves.told(is_asked=self._is_asked))
        return Taken(request.step, stall_s, kept.sequence, kept.reason, saved)

    def _save_directly(self, request: SaveRequest, contents: Mapping[str, Any]) -> Saved:
        record = self._writer.record(request, 0)
        return save_directly(record, contents, request.small, self._sources.weight_test)

    def _say(self, reason: str | None) -> None:
        """Say why memory is not used; once, as long as it is the same."""
        if reason is not None and reason != self._said:
            _log.warning("%s; saves go straight to the disk, and training waits for them", reason)
        self._said = reason

    def _before_optimizer(self, _optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        self._memory.hold()

    def _after_optimizer(self, _optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        """Begin to make the memory once the optimizers have their state: before it is needed."""
        self._steps_seen += 1
        waited = self._steps_seen >= _STEPS_TO_WAIT * len(self._sources.optimizers)
        if self._sources.is_complete or waited:
            self._hooks.pop().remove()
            self._memory.prepare()

    def _become_bystander(self) -> None:
        """Let go of the parent's persister, in a forked child (a data-loader worker)."""
        self._persisting.become_bystander()


def _let_go_in_children(checkpointer: Checkpointer) -> None:
    reference = weakref.ref(checkpointer)

    def let_go() -> None:
        living = reference()
        if living is not None:
            living._become_bystander()

    os.register_at_fork(after_in_child=let_go)
