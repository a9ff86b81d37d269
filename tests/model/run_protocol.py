"""The run's protocol: launcher, daemon, trainer, files, faults from outside, and the operator."""

from collections.abc import Iterator

from supervisor.cli.start.admission import AdmissionVerdict, judge
from supervisor.core.entries.decision import ResumedEntry
from supervisor.core.history import History
from supervisor.core.vocabulary import Intent
from tests.model import daemon_party, launcher_party, trainer_party
from tests.model.daemon_party import HISTORIES, history_of
from tests.model.world import Budget, Files, Launcher, World


def initial(budget: Budget) -> World:
    """A run directory that no run has used."""
    return World(budget, Files(HISTORIES.number(History())))


def moves(world: World) -> Iterator[tuple[str, World, bool]]:
    """Everything that can happen next."""
    yield from launcher_party.moves(world)
    yield from daemon_party.moves(world)
    yield from trainer_party.moves(world)
    yield from _outside(world)


def _outside(world: World) -> Iterator[tuple[str, World, bool]]:
    budget, files = world.budget, world.files
    launcher, daemon = world.launcher, world.daemon
    if launcher is None and daemon is None and (started := _run(world)) is not None:
        yield "somebody: supervisor run", started, False
    for intent in dict.fromkeys(budget.intents):
        left = list(budget.intents)
        left.remove(intent)
        said = files._replace(intent=intent, intent_id=files.intent_id + 1)
        spent = budget._replace(intents=tuple(left))
        yield f"operator: {intent}", world._replace(files=said, budget=spent), True
    if launcher is not None and budget.signals:
        spent = budget._replace(signals=budget.signals - 1)
        asked = launcher_party.asked_to_stop(world)._replace(budget=spent)
        yield "somebody: SIGTERM to the launcher", asked, True
    if launcher is not None and budget.launcher_deaths:
        spent = budget._replace(launcher_deaths=budget.launcher_deaths - 1)
        dead = _forget(launcher_party.gone(world)._replace(budget=spent))
        yield "fault: SIGKILL to the launcher", dead, True
        if daemon is not None and budget.daemon_deaths:
            both = spent._replace(daemon_deaths=budget.daemon_deaths - 1)
            alone = dead._replace(daemon=None, budget=both)
            yield "fault: SIGKILL to both", _forget(alone), True
    if daemon is not None and budget.daemon_deaths:
        spent = budget._replace(daemon_deaths=budget.daemon_deaths - 1)
        dead = world._replace(daemon=None, budget=spent)
        yield "fault: SIGKILL to the daemon", _forget(dead), True
        if launcher is not None and launcher.asked and daemon_party.has_acted(daemon):
            # A signal that a daemon was told long ago is not told to the next daemon.
            later = dead._replace(launcher=launcher._replace(asked=False))
            yield "fault: SIGKILL to the daemon, long after the signal", _forget(later), True


def _run(world: World) -> World | None:
    """`supervisor run`: admitted by the real rule, under the lock."""
    files = world.files
    history = history_of(files)
    lifts = files.intent_id > files.held_id and history.held is not None
    verdict = judge(history, Intent(files.intent), lifts=lifts, again=False)
    if verdict is not AdmissionVerdict.START:
        return None
    if lifts:
        entry = ResumedEntry(intent_id=str(files.intent_id))
        files = daemon_party.record(files, entry)
    return world._replace(files=files, launcher=Launcher())


def _forget(world: World) -> World:
    """Drop the unrecorded ends if launcher and daemon are dead: then no party knows them."""
    if world.launcher is not None or world.daemon is not None:
        return world
    return world._replace(seen=tuple(one for one in world.seen if one in world.recorded))


def broken(world: World) -> str | None:
    """The promise that a world breaks, or None."""
    if world.broken is not None:
        return world.broken
    if len(trainer_party.living(world)) > 1:
        return "two trainers"
    if not daemon_party.knows_the_intent(world):
        return "an intent was read and is lost"
    if is_over(world):
        missing = [one for one in world.seen if one not in world.recorded]
        if missing:
            return f"it is over, and these ends are not on record: {missing}"
    return None


def is_over(world: World) -> bool:
    """Whether nothing runs and nothing is to run: finished, held, or stopped by the operator."""
    if world.launcher is not None or world.daemon is not None:
        return False
    history, is_wanted = history_of(world.files), world.files.intent == "run"
    left = trainer_party.living(world)
    if left and not is_wanted and all(one.is_deaf and one.is_orphan for one in left):
        # Launcher and daemon were killed, the trainer is deaf, and the operator lets nothing start:
        # only `supervisor clean` can end it.
        return True
    return not left and (history.finished or history.held is not None or not is_wanted)
