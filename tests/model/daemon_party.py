"""The daemon in the model: the real core decides, and the real takeover begins."""

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from typing import Any

from supervisor.core import replay as ledger
from supervisor.core import step as core
from supervisor.core.effects import (
    Effect,
    Exit,
    Launch,
    Look,
    Record,
    SendKill,
    SendStop,
    SurveyCheckpoints,
)
from supervisor.core.ending import Ending
from supervisor.core.entries.attempt import AttemptEndedEntry, AttemptStartedEntry
from supervisor.core.entries.decision import DecisionEntry, StopRequestedEntry
from supervisor.core.entries.entry import Entry, Stamped
from supervisor.core.entries.run import SupervisorEndedEntry, SupervisorStartedEntry
from supervisor.core.events import (
    Event,
    Exited,
    IntentChanged,
    Looked,
    Observed,
    StacksTaken,
    Started,
    StartFailed,
    StopAsked,
    Surveyed,
    Tick,
)
from supervisor.core.history import History
from supervisor.core.look_facts import RankSeen
from supervisor.core.policy import Policy
from supervisor.core.rules.resumption import initial_state
from supervisor.core.states import Checkpoint, KillStage, State
from supervisor.core.vocabulary import TERMINAL, Intent, Phase, RunState, StopSource
from supervisor.daemon import takeover
from supervisor.launcher.messages import ExitedReport, Hello, KnownAttempt, Report, StartedReport
from tests.model.trainer_party import living, stop_trainers
from tests.model.world import Daemon, Files, Interned, Message, World, plain_history, plain_state

POLICY = Policy(backoff_s=1.0, max_failures=3, has_resume_args=True)
STATES, HISTORIES, EFFECTS = Interned(), Interned(), Interned()
# Only effects that another party can see: whether others were done before a death changes nothing.
VISIBLE = (SurveyCheckpoints, Launch, SendStop, SendKill, Record, Exit)


def freeze(effect: Effect) -> Any:
    """The effect without its texts and its wait, so that equal effects get one number."""
    if isinstance(effect, Record):
        plain: dict[str, Any] = {"reason": "why", "evidence": (), "wait_s": None}
        known = {one.name for one in fields(effect.entry)}
        told = {key: value for key, value in plain.items() if key in known}
        return Record(replace(effect.entry, **told))
    return effect


@cache
def _step(number: int, event: Event) -> tuple[int, tuple[int, ...]]:
    state = STATES.values[number]
    now = state.wake_at if isinstance(event, Tick) else 0.0
    after, effects = core.step(state, event, now)
    kept = tuple(EFFECTS.number(freeze(one)) for one in effects if isinstance(one, VISIBLE))
    asked_at = after.activity.looks.asked_at
    if asked_at is not None and any(isinstance(one, Look) for one in effects):
        # The looks are no step of their own: they show that nothing moves.
        still = Looked(state.attempt, asked_at, (RankSeen("rank 0 (pid 7)"),))
        after, effects = core.step(after, still, now)
        kept += tuple(EFFECTS.number(freeze(one)) for one in effects if isinstance(one, VISIBLE))
    if any(type(one).__name__ == "TakeStacks" for one in effects):
        stacked, then = core.step(after, StacksTaken(state.attempt), now)
        kept += tuple(EFFECTS.number(freeze(one)) for one in then if isinstance(one, VISIBLE))
        after = stacked
    return STATES.number(plain_state(after)), kept


def forget() -> None:
    """Forget cached decisions, after the code that decides was changed."""
    _step.cache_clear()


def record(files: Files, entry: Entry) -> Files:
    """The files with one more ledger entry, folded by the real fold."""
    after = ledger.fold_entry(HISTORIES.values[files.history], Stamped(entry))
    return files._replace(history=HISTORIES.number(plain_history(after)))


def history_of(files: Files) -> History:
    """The history in the ledger."""
    history = HISTORIES.values[files.history]
    assert isinstance(history, History)
    return history


def settle(daemon: Daemon) -> Daemon:
    """Decide until there is a visible effect: a decision that nobody else sees is no move."""
    state, queue, effects = daemon.state, daemon.queue, daemon.effects
    assert state is not None
    while queue and not effects:
        state, effects = _step(state, queue[0])
        queue = queue[1:]
    return daemon._replace(state=state, queue=queue, effects=effects)


def moves(world: World) -> Iterator[tuple[str, World, bool]]:
    """The moves that the daemon can make next."""
    daemon = world.daemon
    if daemon is None:
        return
    if daemon.state is None:
        has_leftovers = daemon.hello[2] is None and bool(living(world))
        if has_leftovers and not all(one.is_stopping for one in living(world)):
            yield "daemon: asks leftovers to end", stop_trainers(world), False
        elif has_leftovers:
            yield "daemon: kills leftovers", stop_trainers(world, kill=True), False
        else:
            yield "daemon: begins", _begin(world, daemon), False
    elif daemon.effects:
        yield _perform(world, daemon)
    elif daemon.code is not None:
        yield from _end(world, daemon)
    else:
        yield from _look(world, daemon)


def _begin(world: World, daemon: Daemon) -> World:
    files = world.files
    _, is_first, adopted, last_exit, asked = daemon.hello
    history = history_of(files)
    attempt, exited = None, None
    if adopted is not None:
        number, stop_sent, kill_sent = adopted
        attempt = KnownAttempt(
            attempt=number, pid=7, start_ticks=7, stop_sent=stop_sent, kill_sent=kill_sent
        )
    if last_exit is not None:
        number, (code, signum) = last_exit
        exited = ExitedReport(attempt=number, code=code, signal=signum, monotonic=0.0)
    hello = Hello(
        attempt=attempt,
        last_exit=exited,
        signals=("TERM",) if asked else (),
        daemon_restarts=0 if is_first else 1,
    )
    state = initial_state(history, POLICY, now=0.0, wall=0.0, alive=adopted is not None)
    intent = Intent(files.intent)
    begun, state, late = takeover.beginning(history, intent, state, hello)
    if is_first:
        files = record(files, SupervisorStartedEntry())
    world = world._replace(files=files)
    running = attempt or exited if begun.alive else None
    daemon = daemon._replace(
        state=STATES.number(plain_state(state)),
        queue=(begun,),
        tracked=0 if running is None else running.attempt,
        intent_id=files.intent_id,
    )
    for report in late:
        world, daemon = _hear(world, daemon, _as_tuple(report))
    asked_for = takeover.still_asked(history, intent, hello, alive=begun.alive)
    daemon = daemon._replace(queue=(*daemon.queue, *asked_for))
    return world._replace(daemon=settle(daemon))


def _as_tuple(report: Report) -> Message:
    match report:
        case ExitedReport():
            return ("exited", report.attempt, (report.code, report.signal))
        case StartedReport():
            return ("started", report.attempt)
        case _:
            return ("signal",)


def _hear(world: World, daemon: Daemon, message: Message) -> tuple[World, Daemon]:
    """As `Daemon._on_report` does: queue the event, and record a start."""
    event: Event | None = None
    match message:
        case ("started", number) if number == daemon.tracked:
            files = record(world.files, AttemptStartedEntry(attempt=number))
            world = world._replace(files=files)
            event = Started(number)
        case ("start_failed", number):
            event = StartFailed(number, "called off", True)
        case ("exited", number, (code, signum)) if number == daemon.tracked:
            event = Exited(Ending(number, code, signum, step=world.files.checkpoint))
        case ("signal",):
            event = StopAsked(StopSource.SIGTERM)
        case _:
            return world, daemon
    return world, daemon._replace(queue=(*daemon.queue, event))


def _perform(world: World, daemon: Daemon) -> tuple[str, World, bool]:
    effect = EFFECTS.values[daemon.effects[0]]
    daemon = daemon._replace(effects=daemon.effects[1:])
    world = world._replace(daemon=daemon)
    name = type(effect).__name__
    match effect:
        case SurveyCheckpoints():
            daemon = daemon._replace(is_surveying=True)
        case Launch(attempt):
            daemon = daemon._replace(tracked=attempt)
            world = _order(world, ("launch", attempt))
            if daemon.intent_id == world.files.intent_id and world.files.intent != "run":
                world = world._replace(broken="a launch against an intent that was read")
            asked = world.launcher is not None and world.launcher.was_asked
            if asked and ("signal",) not in daemon.inbox:
                world = world._replace(broken="a launch against a signal that was told")
        case SendStop(attempt):
            world = _order(world, ("stop", attempt))
        case SendKill(attempt):
            world = _order(world, ("kill", attempt))
        case Exit(code):
            daemon = daemon._replace(code=code)
        case Record(entry):
            name = f"records {entry.kind}"
            world = _note(world, entry)
    return f"daemon: {name}", world._replace(daemon=settle(daemon)), False


def _note(world: World, entry: Entry) -> World:
    files = record(world.files, entry)
    world = world._replace(files=files)
    match entry:
        case DecisionEntry(state=RunState.HELD | RunState.STUCK):
            return world._replace(files=files._replace(held_id=files.intent_id))
        case AttemptEndedEntry(attempt=int(number), code=code, signal=signal):
            if any(number == one for one, _ in world.recorded):
                return world._replace(broken=f"the end of attempt {number} is on record twice")
            return world._replace(recorded=(*world.recorded, (number, (code, signal))))
        case _:
            return world


def _order(world: World, order: Message) -> World:
    assert world.daemon is not None
    if world.daemon.is_orphan:
        if order[0] in ("stop", "kill"):
            return stop_trainers(world, order[1], kill=order[0] == "kill")
        return world
    launcher = world.launcher
    if launcher is None or not launcher.has_link:
        return world
    return world._replace(launcher=launcher._replace(orders=(*launcher.orders, order)))


def _look(world: World, daemon: Daemon) -> Iterator[tuple[str, World, bool]]:
    def learnt(event: Event, **changes: Any) -> World:
        after = daemon._replace(queue=(*daemon.queue, event), **changes)
        return world._replace(daemon=settle(after))

    files = world.files
    state = STATES.values[daemon.state]
    if daemon.inbox:
        message, *rest = daemon.inbox
        heard, after = _hear(world, daemon._replace(inbox=tuple(rest)), message)
        yield f"daemon: hears {message}", heard._replace(daemon=settle(after)), False
    elif world.launcher is None and not daemon.is_orphan:
        orphan = learnt(StopAsked(StopSource.LAUNCHER_DEATH, is_anew=True), is_orphan=True)
        yield "daemon: finds its launcher dead", orphan, False
    elif daemon.is_orphan and not daemon.has_reported and not world.trainers:
        ended = Exited(Ending(daemon.tracked, None, None)) if daemon.tracked else None
        if ended is not None:
            yield "daemon: finds the attempt gone", learnt(ended, has_reported=True), False
    if daemon.intent_id != files.intent_id:
        changed = learnt(IntentChanged(Intent(files.intent)), intent_id=files.intent_id)
        yield "daemon: reads the intent", changed, False
    if daemon.is_surveying:
        yield "daemon: has surveyed", learnt(_survey(files), is_surveying=False), False
    if _is_time_possible(world, daemon, state):
        yield "daemon: its time has come", learnt(Tick()), False
    if state.run.value == "running" and any(t.is_deaf and t.status is None for t in world.trainers):
        silent = Observed(state.attempt, True, True, Phase.STEP, beat_age_s=1e9)
        yield "daemon: sees a hang", learnt(silent), False


def _is_time_possible(world: World, daemon: Daemon, state: State) -> bool:
    """Whether its time may come. Messages are read first; a living launcher kills within 90 s."""
    if state.wake_at is None or daemon.inbox:
        return False
    is_killing = state.kill is not None and state.kill.stage is KillStage.KILL
    return not is_killing or (daemon.is_orphan and bool(world.trainers))


def _survey(files: Files) -> Surveyed:
    if not files.checkpoint:
        return Surveyed()
    kind = "final" if files.has_final else "periodic"
    return Surveyed((Checkpoint("checkpoint", files.checkpoint, kind=kind),), exists=True)


def _end(world: World, daemon: Daemon) -> Iterator[tuple[str, World, bool]]:
    match daemon.ending:
        case 0:
            entry = SupervisorEndedEntry(state=STATES.values[daemon.state].run)
            files = record(world.files, entry)
            after = world._replace(files=files, daemon=daemon._replace(ending=1))
            yield "daemon: records its end", after, False
        case 1:
            after = world._replace(daemon=daemon._replace(ending=2))
            yield "daemon: asks to exit", _order(after, ("exit", daemon.code)), False
        case _:
            yield "daemon: ends", world._replace(daemon=None), False


def knows_the_intent(world: World) -> bool:
    """Whether the daemon goes by the intent that it read, or will read a newer one next."""
    daemon, files = world.daemon, world.files
    if daemon is None or daemon.state is None or daemon.code is not None or daemon.is_orphan:
        return True
    state = STATES.values[daemon.state]
    if state.run in TERMINAL or daemon.intent_id != files.intent_id or daemon.effects:
        return True
    return bool(state.intent.value == files.intent)


def has_acted(daemon: Daemon) -> bool:
    """Whether everything that a signal must cause at once is done."""
    waits = ("signal",) in daemon.inbox or any(isinstance(one, StopAsked) for one in daemon.queue)
    if daemon.state is None or daemon.code is not None or waits:
        return False
    pending = [EFFECTS.values[number] for number in daemon.effects]
    return not any(
        isinstance(one, SendStop)
        or (isinstance(one, Record) and isinstance(one.entry, StopRequestedEntry))
        for one in pending
    )


def without_asker(history: History) -> History:
    """The history as if no signal had come."""
    return replace(history, asked_by=None)
