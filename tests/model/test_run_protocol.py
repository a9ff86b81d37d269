"""Every interleaving of launcher, daemon, trainer and files, with kills between any two steps.

The daemon's decisions are the real core's, the launcher's those of its tables. MODEL=full adds the
large budgets (`make model`).
"""

import os
from collections.abc import Callable, Iterator

import pytest

from supervisor.core import replay
from supervisor.core import step as core
from supervisor.core.effects import Effect, Launch
from supervisor.core.entries.attempt import AttemptStartedEntry
from supervisor.core.entries.entry import Stamped
from supervisor.core.events import Event
from supervisor.core.history import History
from supervisor.core.reactions import operator
from supervisor.core.states import State
from supervisor.daemon import takeover
from supervisor.launcher import phases
from supervisor.launcher.phases import AttemptPhase, Happening
from tests.model import daemon_party, run_protocol
from tests.model.explorer import BrokenPromise, Exploration, explore
from tests.model.world import Budget

# Deaths of the launcher, deaths of the daemon, faults of a trainer, signals, intents.
SMALL = (
    Budget(0, 0, 0, 0, ()),
    Budget(0, 2, 1, 0, ()),
    Budget(1, 0, 1, 0, ("hold", "run")),
    Budget(1, 1, 1, 0, ()),
    Budget(0, 1, 1, 0, ("hold", "run")),
    Budget(0, 1, 0, 0, ("stop", "run")),
    Budget(1, 0, 0, 0, ("stop", "run")),
    Budget(0, 0, 0, 1, ("stop", "run")),
    Budget(1, 0, 0, 1, ()),
    Budget(0, 1, 0, 1, ()),
    Budget(2, 1, 0, 0, ()),
)
LARGE = (
    Budget(0, 1, 0, 2, ()),
    Budget(0, 1, 1, 1, ()),
    Budget(1, 1, 0, 1, ()),
    Budget(1, 1, 1, 1, ()),
    Budget(0, 2, 1, 1, ()),
    Budget(0, 1, 1, 2, ()),
    Budget(0, 1, 0, 1, ("stop", "run")),
    Budget(1, 1, 1, 0, ("stop",)),
    Budget(1, 1, 0, 0, ("stop", "run")),
    Budget(0, 1, 1, 0, ("stop", "run")),
    Budget(2, 2, 1, 0, ()),
)
BUDGETS = SMALL + LARGE if os.environ.get("MODEL") == "full" else SMALL


@pytest.fixture(autouse=True)
def _decisions_afresh() -> Iterator[None]:
    """Forget cached decisions before and after a test, which may change the code that decides."""
    daemon_party.forget()
    yield
    daemon_party.forget()


def look(budget: Budget) -> Exploration:
    """Explore a run with this budget."""
    initial = run_protocol.initial(budget)
    return explore(initial, run_protocol.moves, run_protocol.broken, run_protocol.is_over)


def shown(budget: Budget) -> str:
    """The budget as a test's name."""
    launcher, daemon, trainer, signals, intents = budget
    return f"{launcher}L{daemon}D{trainer}T{signals}S-{'-'.join(intents) or 'no wish'}"


@pytest.mark.timeout(600 if os.environ.get("MODEL") == "full" else 180)
@pytest.mark.parametrize("budget", BUDGETS, ids=shown)
def test_the_run_keeps_its_promises(budget: Budget) -> None:
    """At most one trainer, no lost exit, intent or signal, and always a way to the end."""
    found = look(budget)
    assert found.states > 30


Plant = Callable[[pytest.MonkeyPatch], None]


def forget_the_last_exit(patch: pytest.MonkeyPatch) -> None:
    """The launcher neither keeps nor reports an attempt's end."""
    patch.setitem(
        phases.PHASES, (AttemptPhase.ENDING, Happening.ALL_GONE), (AttemptPhase.OVER, None)
    )


def launch_on_behalf_of_the_dead(patch: pytest.MonkeyPatch) -> None:
    """A launch that waits for leftovers goes on after the daemon that ordered it has died."""
    patch.delitem(phases.PHASES, (AttemptPhase.CLEARING, Happening.CALLED_OFF))


def take_an_intent_for_answered(patch: pytest.MonkeyPatch) -> None:
    """A new daemon knows the intent's id, and takes it for obeyed by the previous daemon."""
    patch.setattr(takeover, "still_asked", lambda *_, **__: [])


def judge_an_end_twice(patch: pytest.MonkeyPatch) -> None:
    """A new daemon does not check whether the launcher's last exit is recorded."""
    patch.setattr(takeover, "_is_unjudged", lambda *_: True)


def launch_before_recording(patch: pytest.MonkeyPatch) -> None:
    """The next attempt is launched before the end of the last one is recorded."""
    original = core.step

    def hasty(state: State, event: Event, now: float) -> tuple[State, tuple[Effect, ...]]:
        after, effects = original(state, event, now)
        return after, tuple(sorted(effects, key=lambda one: not isinstance(one, Launch)))

    patch.setattr(core, "step", hasty)


def leave_a_kill_to_the_dead(patch: pytest.MonkeyPatch) -> None:
    """A kill order that the launcher did not obey before it died is not repeated."""
    patch.setattr(operator, "_repeated", lambda _: ())


def let_an_intent_take_a_signal_back(patch: pytest.MonkeyPatch) -> None:
    """A signal beside an intent counts as a part of the intent."""
    patch.setattr(operator, "_besides", lambda state, _: (state, ()))


def forget_who_asked(patch: pytest.MonkeyPatch) -> None:
    """The entry of an attempt's start removes a stop that came before it."""
    original = replay.fold_entry

    def forgetful(past: History, noted: Stamped) -> History:
        after, starts = original(past, noted), isinstance(noted.entry, AttemptStartedEntry)
        return daemon_party.without_asker(after) if starts else after

    patch.setattr(replay, "fold_entry", forgetful)


PLANTED: tuple[tuple[Plant, Budget, str], ...] = (
    (forget_the_last_exit, Budget(0, 1, 1, 0, ()), "not on record"),
    (launch_on_behalf_of_the_dead, Budget(0, 1, 1, 0, ()), "not on record"),
    (take_an_intent_for_answered, Budget(0, 1, 0, 0, ("stop",)), "an intent was read and is lost"),
    (judge_an_end_twice, Budget(0, 1, 1, 0, ()), "on record twice"),
    (launch_before_recording, Budget(0, 1, 1, 0, ()), "not on record"),
    (leave_a_kill_to_the_dead, Budget(1, 0, 1, 0, ()), "no way leads to an end"),
    (let_an_intent_take_a_signal_back, Budget(0, 0, 0, 1, ("stop", "run")), "against a signal"),
    (forget_who_asked, Budget(0, 1, 0, 1, ()), "against a signal"),
)


@pytest.mark.parametrize(
    ("plant", "budget", "promise"), PLANTED, ids=[plant.__name__ for plant, *_ in PLANTED]
)
def test_a_step_taken_out_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Plant, budget: Budget, promise: str
) -> None:
    """Each planted bug breaks a promise, in a budget in which the real protocol keeps all."""
    look(budget)
    daemon_party.forget()
    plant(monkeypatch)
    with pytest.raises(BrokenPromise, match=promise) as found:
        look(budget)
    assert found.value.trace
