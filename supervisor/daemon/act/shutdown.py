"""What a daemon does last: at the supervisor's end, or as another daemon takes over."""

from supervisor.core.states import State
from supervisor.core.vocabulary import RunState
from supervisor.daemon.act.last_hooks import LastHooks
from supervisor.daemon.act.periodic import PeriodicWork
from supervisor.daemon.launcher_link import LauncherLink
from supervisor.daemon.look.memory_tier import Snapshots
from supervisor.daemon.look.operator_intent import OperatorIntent
from supervisor.daemon.parts import Parts
from supervisor.daemon.run import Run
from supervisor.daemon.tell.systemd import ServiceManager
from supervisor.memory.slots import Whole


def shut_down(
    run: Run,
    parts: Parts,
    house: PeriodicWork,
    state: State,
    *,
    link: LauncherLink,
    service: ServiceManager,
    intent: OperatorIntent,
    is_end: bool,
) -> Whole | None:
    """Let everything finish; returns the newest snapshot if only memory holds it."""
    left = leave_memory(run, parts.snapshots, house, state, link) if is_end else None
    if is_end:
        parts.changes.finish()
    house.finish(state)
    last_hooks = LastHooks(parts.hooks, run, link, service, intent, lambda: house.tell_last(state))
    last_hooks.finish(state, is_end=is_end)
    service.ended(state)
    return left


def leave_memory(
    run: Run, snapshots: Snapshots, house: PeriodicWork, state: State, link: LauncherLink
) -> Whole | None:
    """Let the persister finish; returns the newest snapshot if only memory holds it.

    That snapshot stays in memory, and the user is told. A completed run leaves none.
    """
    snapshots.let_go(link)
    house.note_failed_persists(snapshots.look(), state)
    left, newest = snapshots.only_in_memory, state.newest
    is_ahead = left is not None and (
        newest is None or newest.step is None or left.snapshot.step > newest.step
    )
    if left is None or not is_ahead or state.run is RunState.COMPLETED:
        return None
    folder = run.runtime.snapshot_dir
    run.journal.log.warning("left_in_memory", path=str(folder), step=left.snapshot.step)
    run.console.say(
        f"the snapshot of step {left.snapshot.step} is not on the disk: it stays in {folder}"
        " until this machine is restarted; the next `supervisor run` here goes on from it"
    )
    return left
