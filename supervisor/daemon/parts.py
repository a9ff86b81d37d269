"""The working objects of one daemon: those that look at the run, and those that act on it."""

from collections.abc import Callable
from dataclasses import dataclass

from supervisor.core.events import Event
from supervisor.daemon.act.hooks import Hooks
from supervisor.daemon.act.standby_orders import Parking
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.launcher_link import Orders
from supervisor.daemon.look.attempt_times import AttemptTimes
from supervisor.daemon.look.memory_tier import Snapshots
from supervisor.daemon.look.next_save import NextSave
from supervisor.daemon.look.prober import Prober
from supervisor.daemon.look.save_costs import SaveCosts
from supervisor.daemon.look.save_watch import SaveWatch
from supervisor.daemon.look.scheduler import Scheduler
from supervisor.daemon.look.step_watch import StepWatch
from supervisor.daemon.run import Run
from supervisor.daemon.tell.changes import Changes
from supervisor.survey.answer import Survey


@dataclass(slots=True)
class Parts:
    """A plain record: the loop, the performer and the periodic work take from it what they need."""

    orders: Orders
    """Takes orders to the launcher; to its stand-in once the launcher is dead."""
    snapshots: Snapshots
    scheduler: Scheduler
    standby: Parking
    times: AttemptTimes
    saves: SaveWatch
    steps: StepWatch
    next_save: NextSave
    save_costs: SaveCosts
    prober: Prober
    changes: Changes
    hooks: Hooks
    attempt: RunningAttempt | None = None
    """The attempt that runs, else the last one."""

    def note_saves(self, survey: Survey) -> None:
        """Learn from a survey how often the attempt saves.

        Before this daemon has an attempt, the checkpoints are those of earlier ones: the pauses
        between attempts would count.
        """
        if self.attempt is not None:
            self.next_save.follow(self.attempt.number, self.attempt.started_at)
            self.next_save.note_survey(survey)

    @classmethod
    def of(
        cls, run: Run, orders: Orders, emit: Callable[[Event], None], *, started_wall: float
    ) -> "Parts":
        """Make the parts of a new daemon; `emit` takes the events that they find."""
        times = AttemptTimes.of(run.history)
        snapshots = Snapshots(
            run.runtime.snapshot_dir,
            orders.send,
            emit,
            failures_known_until=run.history.failed_save_at,
        )
        return cls(
            orders=orders,
            snapshots=snapshots,
            scheduler=Scheduler(run, emit, since_wall=started_wall),
            standby=Parking(run, emit),
            times=times,
            saves=SaveWatch(run, times),
            steps=StepWatch(run, emit),
            next_save=NextSave(run),
            save_costs=SaveCosts(run),
            prober=Prober(),
            changes=Changes(run),
            hooks=Hooks(run),
        )
