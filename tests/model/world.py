"""The run as its parties and files see it, as values: what the model of the run's protocol is in.

Core states, histories and effects are long; a world holds their numbers in `INTERNED`.
"""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, NamedTuple

from supervisor.core.history import History
from supervisor.core.states import Account, State
from supervisor.launcher.phases import AttemptPhase

Status = tuple[int | None, int | None]
"""Exit code and signal."""
Message = tuple[Any, ...]


class Interned:
    """Numbers for values, the same number for equal ones."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, value: Hashable) -> int:
        """The value's number."""
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
        return found


class Attempt(NamedTuple):
    """What the launcher keeps of an attempt."""

    number: int
    phase: AttemptPhase = AttemptPhase.CLEARING
    stop_sent: bool = False
    kill_sent: bool = False


class Launcher(NamedTuple):
    """The root process; `orders` is what the daemon has written and it has not read."""

    is_first: bool = True
    has_link: bool = False
    orders: tuple[Message, ...] = ()
    attempt: Attempt | None = None
    last_exit: tuple[int, Status] | None = None
    asked: bool = False
    """It has a stop signal that no daemon has surely acted on."""
    was_asked: bool = False
    """A stop signal came, ever; only the onlooker knows."""
    took_over: bool = False
    code: int | None = None
    """It ends with this."""
    farewell: int = 0
    """The row of the table of farewells that it is at."""


class Daemon(NamedTuple):
    """One daemon; `state` is None until it has read its greeting, which is `hello`."""

    hello: Message
    inbox: tuple[Message, ...] = ()
    state: int | None = None
    queue: tuple[Any, ...] = ()
    effects: tuple[int, ...] = ()
    tracked: int = 0
    """The attempt that it looks at."""
    intent_id: int = 0
    is_surveying: bool = False
    is_orphan: bool = False
    has_reported: bool = False
    """As an orphan: that nothing of the attempt lives."""
    code: int | None = None
    ending: int = 0
    """How far its own end has come."""


class Trainer(NamedTuple):
    """A process of an attempt; `status` is set once it has ended, until it is reaped."""

    number: int
    is_stopping: bool = False
    is_deaf: bool = False
    is_orphan: bool = False
    """Its launcher is dead: whoever reaps it keeps no status."""
    status: Status | None = None


class Files(NamedTuple):
    """What outlives every process; but the lock, which launcher and daemon hold together."""

    history: int
    intent: str = "run"
    intent_id: int = 0
    held_id: int = 0
    """The intent that stood when the run was held."""
    checkpoint: int = 0
    has_final: bool = False


class Budget(NamedTuple):
    """What may still happen from outside."""

    launcher_deaths: int
    daemon_deaths: int
    trainer_faults: int
    signals: int
    intents: tuple[str, ...]


class World(NamedTuple):
    """All of it. `seen` and `recorded` are what an onlooker knows: ends reaped, ends on record."""

    budget: Budget
    files: Files
    launcher: Launcher | None = None
    daemon: Daemon | None = None
    trainers: tuple[Trainer, ...] = ()
    seen: tuple[tuple[int, Status], ...] = ()
    recorded: tuple[tuple[int, Status], ...] = ()
    broken: str | None = None


def plain_state(state: State) -> State:
    """The state without what time was measured to be: only the order of moments is left."""
    stop, wake_at = state.stop, state.wake_at
    if stop is not None:
        is_later = wake_at is not None and stop.until > wake_at
        stop = replace(stop, since=0.0, until=2.0 if is_later else 1.0)
    return replace(
        state,
        at=0.0,
        account=Account(),
        wake_at=None if wake_at is None else 1.0,
        stop=stop,
        activity=replace(state.activity, started_at=0.0, excused_since=None),
        budget=replace(state.budget, recent=()),
        reason="",
    )


def plain_history(history: History) -> History:
    """The same for a history."""
    return replace(
        history,
        account=Account(),
        accounted=None,
        stop_at=None,
        supervisor_wall=None,
        first_attempt_wall=None,
        failed_at=(),
        restarts=0,
        reason="",
    )
