"""What a daemon does about the memory tier when the supervisor ends."""

from supervisor.core.states import State
from supervisor.core.vocabulary import RunState
from supervisor.daemon.act.periodic import PeriodicWork
from supervisor.daemon.launcher_link import LauncherLink
from supervisor.daemon.look.memory_tier import Snapshots
from supervisor.daemon.run import Run
from supervisor.memory.slots import Whole


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
