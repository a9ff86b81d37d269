"""A scripted world for the core: it answers effects as launcher, disk and trainer would."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from supervisor.core.effects import Effect, Exit, Launch, Record, SendKill
from supervisor.core.ending import Ending
from supervisor.core.entries.entry import Stamped
from supervisor.core.entries.reading import read_entry
from supervisor.core.events import Begun, Event, Exited, Looked, Started, Surveyed
from supervisor.core.history import History
from supervisor.core.look_facts import RankSeen
from supervisor.core.policy import Policy
from supervisor.core.replay import fold
from supervisor.core.states import Budget, Checkpoint, State
from supervisor.core.step import step
from supervisor.core.vocabulary import Action, Failure, Intent, Tier


def checkpoint(step_number: int, **more: object) -> Checkpoint:
    """A valid checkpoint of this run."""
    return Checkpoint(f"/run/checkpoint-{step_number}", step_number, **more)  # type: ignore[arg-type]


def snapshot(step_number: int, **more: object) -> Checkpoint:
    """A valid snapshot of this run in memory."""
    path = f"/shm/snapshots/slot-{step_number % 2}/checkpoint-{step_number}"
    return Checkpoint(path, step_number, tier=Tier.MEMORY, **more)  # type: ignore[arg-type]


def died(attempt: int, **more: object) -> Ending:
    """An ordinary death."""
    facts: dict[str, object] = {"code": 1, "signal": None, "attached": True}
    failure, action = more.pop("failure", "exception"), more.pop("action", "restart")
    words: dict[str, object] = {"failure": Failure(failure), "action": Action(action)}
    return Ending(attempt=attempt, **{**facts, **more, **words})  # type: ignore[arg-type]


def noted(record: Mapping[str, Any]) -> Stamped:
    """A record of the ledger as a daemon reads it; `wall` is its time."""
    said = {key: value for key, value in record.items() if key != "wall"}
    return Stamped(read_entry(said), float(record.get("wall", 0.0)), record.get("monotonic"))


def history_of(ledger: Iterable[Mapping[str, Any]]) -> History:
    """The history that these records give."""
    return fold(map(noted, ledger))


@dataclass
class World:
    """Feeds events and keeps effects; time moves only when a test moves it."""

    policy: Policy = field(default_factory=Policy)
    now: float = 1000.0
    checkpoints: tuple[Checkpoint, ...] = ()
    exists: bool = False
    effects: list[Effect] = field(default_factory=list)
    state: State = field(init=False)

    def __post_init__(self) -> None:
        """Begin in the first state."""
        steps = [c.step for c in self.checkpoints if c.step is not None and c.tier != Tier.MEMORY]
        budget = Budget(progress_step=max(steps, default=None))
        self.state = State(policy=self.policy, at=self.now, budget=budget)

    def feed(self, event: Event) -> list[Effect]:
        """Take one step, and return its effects."""
        self.state, effects = step(self.state, event, self.now)
        self.effects += effects
        return list(effects)

    def survey(self, invalid: tuple[tuple[str, str], ...] = ()) -> list[Effect]:
        """Answer a survey with these checkpoints, and with invalid paths and their reasons."""
        exists = self.exists or bool(self.checkpoints)
        return self.feed(Surveyed(candidates=self.checkpoints, invalid=invalid, exists=exists))

    def begin(self) -> list[Effect]:
        """Begin with nothing running, and launch the first attempt."""
        self.feed(Begun(Intent.RUN))
        return self.launched(self.survey())

    def launched(self, effects: list[Effect]) -> list[Effect]:
        """Report the start of each launch among the effects."""
        for effect in effects:
            if isinstance(effect, Launch):
                self.feed(Started(effect.attempt))
        return effects

    def looked(self, *ranks: RankSeen, moved: tuple[str, ...] = ()) -> list[Effect]:
        """Answer the last order to look after ten seconds, with one still rank by default."""
        asked_at = self.state.activity.looks.asked_at
        assert asked_at is not None, "nothing was ordered"
        self.now += 10.0
        seen = ranks or (RankSeen("rank 0 (pid 7)"),)
        return self.feed(Looked(self.state.attempt, asked_at, seen, moved))

    def end(self, **more: object) -> list[Effect]:
        """End the attempt and survey the checkpoints."""
        self.feed(Exited(died(self.state.attempt, **more)))
        return self.survey()

    def kinds(self) -> list[str]:
        """The names of all effects so far."""
        return [type(effect).__name__ for effect in self.effects]

    def records(self, kind: str) -> list[dict[str, object]]:
        """The recorded entries of one type, as the ledger has them."""
        entries = [e.entry for e in self.effects if isinstance(e, Record)]
        return [entry.to_json() for entry in entries if entry.kind == kind]

    def exit_codes(self) -> list[int]:
        """The codes of all exits that were ordered."""
        return [effect.code for effect in self.effects if isinstance(effect, Exit)]


__all__ = ["SendKill", "World", "checkpoint", "died", "history_of", "noted", "snapshot"]
