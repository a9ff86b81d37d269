"""The launcher in the model: it obeys the code's own tables of phases and farewells."""

from collections.abc import Iterator

from supervisor.launcher import phases, shutdown
from supervisor.launcher.phases import AttemptPhase, Happening
from supervisor.launcher.shutdown import Stage
from tests.model.trainer_party import living, stop_trainers
from tests.model.world import Attempt, Daemon, Launcher, Message, Trainer, World

PREEMPTED = 75


def moves(world: World) -> Iterator[tuple[str, World, bool]]:
    """The moves that the launcher can make next."""
    launcher = world.launcher
    if launcher is None:
        return
    if launcher.orders:
        order, *rest = launcher.orders
        read = launcher._replace(orders=tuple(rest))
        yield f"launcher: obeys {order}", _obey(world._replace(launcher=read), order), False
    elif launcher.has_link and world.daemon is None:
        yield "launcher: reaps the daemon", _daemon_gone(world, launcher), False
    attempt = launcher.attempt
    if attempt is not None and attempt.phase is AttemptPhase.CLEARING:
        yield _clear(world, launcher, attempt)
    elif attempt is not None:
        for trainer in world.trainers:
            if trainer.status is not None:
                yield f"launcher: reaps attempt {attempt.number}", _reap(world, trainer), False
    if launcher.code is not None:
        yield from _farewell(world, launcher)
        return
    if not launcher.has_link and world.daemon is None:
        yield "launcher: starts a daemon", _start_daemon(world, launcher), False
        if launcher.asked and not launcher.took_over:
            yield "launcher: stops by itself", _take_over(world, launcher), False
        if launcher.took_over and attempt is None:
            yield "launcher: ends by itself", _end(world, PREEMPTED), False


def asked_to_stop(world: World) -> World:
    """The world after a stop signal to the launcher."""
    assert world.launcher is not None
    asked = world.launcher._replace(asked=True, was_asked=True)
    return _send(world._replace(launcher=asked), ("signal",))


def _start_daemon(world: World, launcher: Launcher) -> World:
    known = launcher.attempt
    adopted = None
    if known is not None and known.phase is not AttemptPhase.CLEARING:
        adopted = (known.number, known.stop_sent, known.kill_sent)
    hello = ("hello", launcher.is_first, adopted, launcher.last_exit, launcher.asked)
    after = launcher._replace(is_first=False, has_link=True)
    return world._replace(launcher=after, daemon=Daemon(hello))


def _send(world: World, message: Message) -> World:
    launcher, daemon = world.launcher, world.daemon
    if launcher is None or not launcher.has_link or daemon is None:
        return world
    return world._replace(daemon=daemon._replace(inbox=(*daemon.inbox, message)))


def _happens(world: World, happening: Happening, *details: object) -> World:
    """Move the attempt by the table; the end's report is kept for a next daemon."""
    launcher = world.launcher
    assert launcher is not None
    assert launcher.attempt is not None
    attempt = launcher.attempt
    row = phases.PHASES[attempt.phase, happening]
    kept: Attempt | None = attempt._replace(phase=row[0])
    last_exit = launcher.last_exit
    if row[0] is AttemptPhase.OVER:
        kept = None
        last_exit = None
        if row[1] == "exited":
            (status,) = details
            last_exit = (attempt.number, status)  # type: ignore[assignment]
    world = world._replace(launcher=launcher._replace(attempt=kept, last_exit=last_exit))
    if row[1] is None:
        return world
    return _send(world, (row[1], attempt.number, *details))


def _call_off(world: World) -> World:
    launcher = world.launcher
    assert launcher is not None
    attempt = launcher.attempt
    if attempt is None or (attempt.phase, Happening.CALLED_OFF) not in phases.PHASES:
        return world
    return _happens(world, Happening.CALLED_OFF)


def _obey(world: World, order: Message) -> World:
    launcher = world.launcher
    assert launcher is not None
    if order[0] == "exit":
        launcher = launcher._replace(asked=False)
        world = world._replace(launcher=launcher)
    attempt = launcher.attempt
    match order:
        case ("launch", number):
            if attempt is not None or launcher.code is not None:
                return _send(world, ("start_failed", number))
            after = launcher._replace(attempt=Attempt(number), last_exit=None)
            return world._replace(launcher=after)
        case ("exit", code):
            return _end(world, code)
        case (kind, number) if attempt is not None and attempt.number == number:
            return _signal(world, kill=kind == "kill")
        case _:
            return world


def _signal(world: World, *, kill: bool) -> World:
    world = _call_off(world)
    launcher = world.launcher
    if launcher is None or launcher.attempt is None:
        return world
    attempt = launcher.attempt
    told = attempt._replace(kill_sent=True) if kill else attempt._replace(stop_sent=True)
    world = world._replace(launcher=launcher._replace(attempt=told))
    return stop_trainers(world, attempt.number, kill=kill)


def _daemon_gone(world: World, launcher: Launcher) -> World:
    return _call_off(world._replace(launcher=launcher._replace(has_link=False)))


def _clear(world: World, launcher: Launcher, attempt: Attempt) -> tuple[str, World, bool]:
    if living(world):
        return "launcher: ends leftovers", stop_trainers(world, kill=True), False
    world = _happens(world, Happening.SPAWNED)
    world = world._replace(trainers=(*world.trainers, Trainer(attempt.number)))
    missing = [one for one in world.seen if one not in world.recorded]
    if any(status == (0, None) for _, status in world.seen):
        world = world._replace(broken="launched after the run was finished")
    if any(number >= attempt.number for number, _ in world.seen):
        world = world._replace(broken=f"attempt {attempt.number} was there before")
    if missing:
        world = world._replace(broken=f"launched, and these ends are not on record: {missing}")
    name = f"launcher: spawns attempt {attempt.number}"
    return name, _send(world, ("started", attempt.number)), False


def _reap(world: World, trainer: Trainer) -> World:
    assert trainer.status is not None
    kept = tuple(one for one in world.trainers if one is not trainer)
    world = world._replace(trainers=kept, seen=(*world.seen, (trainer.number, trainer.status)))
    world = _happens(world, Happening.MAIN_ENDED)
    return _happens(world, Happening.ALL_GONE, trainer.status)


def _take_over(world: World, launcher: Launcher) -> World:
    world = world._replace(launcher=launcher._replace(took_over=True))
    return world if launcher.attempt is None else _signal(world, kill=False)


def _end(world: World, code: int) -> World:
    launcher = world.launcher
    assert launcher is not None
    if launcher.code is not None:
        return world
    world = world._replace(launcher=launcher._replace(code=code, farewell=0))
    return world if launcher.attempt is None else _signal(world, kill=True)


def _farewell(world: World, launcher: Launcher) -> Iterator[tuple[str, World, bool]]:
    if launcher.farewell == len(shutdown.FAREWELLS):
        # If no daemon could be started, none keeps what the launcher knows.
        seen = () if launcher.took_over else world.seen
        yield "launcher: ends", gone(world)._replace(seen=seen), False
        return
    stage, _, _, may_kill = shutdown.FAREWELLS[launcher.farewell]
    is_waiting = {
        Stage.ATTEMPT: launcher.attempt is not None,
        Stage.DAEMON: world.daemon is not None or launcher.has_link,
    }.get(stage, False)
    if not is_waiting:
        after = launcher._replace(farewell=launcher.farewell + 1)
        yield f"launcher: is past {stage.value}", world._replace(launcher=after), False
    elif stage is Stage.DAEMON and may_kill and world.daemon is not None:
        yield "launcher: kills a daemon that stays", world._replace(daemon=None), False


def gone(world: World) -> World:
    """The world after the launcher's end or death: its trainers get SIGTERM."""
    orphans = tuple(one._replace(is_orphan=True) for one in world.trainers)
    return stop_trainers(world._replace(launcher=None, trainers=orphans))
