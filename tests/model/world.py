"""The run as values: what its parties know, and what its files hold.

Core states, histories and effects are long, so a world holds their numbers in an `Interned`.
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
    """Numbers for values; equal values have the same number."""

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
    """The root process; `orders` are the daemon's orders that it has not read."""

    is_first: bool = True
    has_link: bool = False
    orders: tuple[Message, ...] = ()
    attempt: Attempt | None = None
    last_exit: tuple[int, Status] | None = None
    asked: bool = False
    """Whether it has a stop signal on which perhaps no daemon has acted."""
    was_asked: bool = False
    """Whether a stop signal ever came; no party uses it."""
    took_over: bool = False
    code: int | None = None
    """The exit code with which it ends."""
    farewell: int = 0
    """Its row in the table of farewells."""


class Daemon(NamedTuple):
    """One daemon; `state` is None until it has read `hello`."""

    hello: Message
    inbox: tuple[Message, ...] = ()
    state: int | None = None
    queue: tuple[Any, ...] = ()
    effects: tuple[int, ...] = ()
    tracked: int = 0
    """The attempt that it tracks."""
    intent_id: int = 0
    is_surveying: bool = False
    is_orphan: bool = False
    has_reported: bool = False
    """Whether, as an orphan, it has found that nothing of the attempt lives."""
    code: int | None = None
    ending: int = 0
    """The stage of its own end."""


class Trainer(NamedTuple):
    """A process of an attempt; `status` is set from its end until it is reaped."""

    number: int
    is_stopping: bool = False
    is_deaf: bool = False
    is_orphan: bool = False
    """Its launcher is dead, so its status is lost when it is reaped."""
    status: Status | None = None


class Files(NamedTuple):
    """What outlives every process; without the lock, which launcher and daemon hold together."""

    history: int
    intent: str = "run"
    intent_id: int = 0
    held_id: int = 0
    """The intent's id when the run was held."""
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
    """Everything. `seen` and `recorded` are the ends that were reaped, and those in the ledger."""

    budget: Budget
    files: Files
    launcher: Launcher | None = None
    daemon: Daemon | None = None
    trainers: tuple[Trainer, ...] = ()
    seen: tuple[tuple[int, Status], ...] = ()
    recorded: tuple[tuple[int, Status], ...] = ()
    broken: str | None = None


def plain_state(state: State) -> State:
    """The state without measured times: only the order of moments stays."""
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
