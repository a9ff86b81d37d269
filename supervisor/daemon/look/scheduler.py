"""The daemon's dealings with its SLURM job: asks the controller, signals tasks, requeues the job.

Outside of a job it does nothing. It decides nothing: the core does, from `JobSeen`.
"""

import os
import shlex
import signal as signals
import subprocess
from collections.abc import Callable
from dataclasses import replace

from supervisor.core.entries.run import RequeueEntry
from supervisor.core.events import Event, JobSeen
from supervisor.core.job import Job, JobEnd
from supervisor.core.states import State
from supervisor.core.status import SlurmStatus
from supervisor.core.vocabulary import ExitCode, Failure, RunState, StopSource
from supervisor.daemon.run import Run
from supervisor.slurm import last_words, requeue
from supervisor.slurm.allocation import allocation
from supervisor.slurm.controller import (
    configuration,
    duration_s,
    environment,
    fields,
    show_job,
)
from supervisor.slurm.facts import JobFacts, Requeue, facts
from supervisor.slurm.steps import find_step, signal_step
from supervisor.system import journal_stream
from supervisor.system.clock import monotonic_s, rfc3339, wall_s

# A changed time limit is seen this late at most; each look is a request to the controller.
LOOK_S = 300.0
# A stop waits so long for the answer, which may shorten the grace; training goes on meanwhile.
BEFORE_STOP_S = 2.0
_STDERR = 2
# Exit codes after a stop: of a trainer that obeyed it, and of a program that SIGTERM killed.
_TOLD_TO_STOP = frozenset({0, ExitCode.PREEMPTED, 128 + signals.SIGTERM})


class Scheduler:
    """One daemon's view of its job."""

    def __init__(self, run: Run, emit: Callable[[Event], None], *, since_wall: float) -> None:
        """`since_wall`: when this supervisor began, seconds since 1970."""
        self.own = allocation(os.environ)
        self._run = run
        self._emit = emit
        self._since_wall = since_wall
        self._facts: JobFacts | None = None
        self._kill_wait_s: float | None = None
        self._asked: subprocess.Popen[str] | None = None
        self._asked_at = 0.0
        self._look_at = 0.0
        self._seen: Job | None = None
        self._steps: dict[int, str] = {}
        self.save_s: float | None = run.history.last_save_s

    def begin(self) -> None:
        """Ask for the first time, before anything is launched."""
        if self.own is not None:
            self._kill_wait_s = duration_s((configuration() or {}).get("KillWait", ""))
            self.look()

    def look(self, *, timeout_s: float = BEFORE_STOP_S) -> JobFacts | None:
        """Ask now and wait for the answer; None outside of a job."""
        if self.own is None:
            return None
        self._look_at = monotonic_s() + LOOK_S
        return self._take(show_job(self.own.name, timeout_s=timeout_s))

    def poll(self, now: float) -> None:
        """Ask from time to time, and wait for nothing."""
        if self.own is None:
            return
        if self._asked is not None:
            self._poll_answer(now)
        elif now >= self._look_at:
            self._look_at = now + LOOK_S
            self._asked_at = now
            # By name: by number scontrol may print all tasks of an array, more than a pipe holds.
            words = ["scontrol", "-o", "show", "job", self.own.name]
            try:
                self._asked = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, text=True, errors="replace", env=environment(),
                )  # fmt: skip
            except OSError as error:
                self._run.journal.log.warning("scontrol_not_started", error=str(error))

    def _poll_answer(self, now: float) -> None:
        assert self._asked is not None
        assert self._asked.stdout is not None
        if self._asked.poll() is None:
            if now - self._asked_at > requeue.ANSWER_S:
                self._asked.kill()
            return
        text = self._asked.stdout.read() if self._asked.returncode == 0 else ""
        self._asked.stdout.close()
        self._asked = None
        self._take(fields(text.splitlines()[0]) if text.strip() else None)

    def _take(self, answer: dict[str, str] | None) -> JobFacts:
        assert self.own is not None
        wall, now = wall_s(), monotonic_s()
        said = last_words.read(_STDERR, self.own.job_id, self._since_wall)
        found = facts(answer, self.own, wall=wall, kill_wait_s=self._kill_wait_s, said=said)
        if answer is None and said is None and self._facts is not None:
            found = self._facts  # no news: the facts known before stand
        self._facts = found
        # Monotonic and in whole seconds: a clock's jitter between two looks is no news.
        until = None if found.killed_at is None else round(now + found.killed_at - wall)
        job = Job(self.own.name, found.end, until, self.save_s)
        if job != self._seen:
            answered = answer is not None
            self._run.journal.log.info("job_seen", job=job.name, end=job.end, answered=answered)
            self._seen = job
            self._emit(JobSeen(job))
        return found

    def note_save(self, save_s: float | None) -> None:
        """What the trainer's last save took."""
        if save_s is not None:
            self.save_s = save_s

    def told_to_stop(self, code: int | None, signal: int | None) -> StopSource | None:
        """Who told an attempt to stop, if not the daemon: SLURM signals srun's tasks itself.

        None if nobody did: then its end is judged as any other.
        """
        if self.own is None or not (code in _TOLD_TO_STOP or signal == signals.SIGTERM):
            return None
        found = self.look()
        if found is None or found.end is None:
            return None
        # Near its time limit a job may well finish: exit code 0 is a stop only once time is up.
        if found.end is JobEnd.TIME_LIMIT and code == 0 and found.killed_at is not None:
            is_due = found.killed_at - wall_s() < (self._kill_wait_s or 30.0)
            return StopSource.SLURM if is_due else None
        return StopSource.SLURM

    # -- srun

    def has_srun(self, main_pid: int) -> bool:
        """Whether the attempt's main process is an srun of this job."""
        return self.own is not None and is_srun(main_pid)

    def stop_tasks(self, main_pid: int | None, name: str) -> bool:
        """Signal the tasks of the attempt's srun; False if it is no srun, or the signal failed."""
        if main_pid is None or not self.has_srun(main_pid):
            return False
        assert self.own is not None
        step = self._steps.get(main_pid) or find_step(self.own.job_id, main_pid)
        if step is None:
            self._run.journal.log.warning("step_not_found", pid=main_pid)
            return False
        self._steps = {main_pid: step}
        is_done = signal_step(step, name)
        self._run.journal.log.info("step_signalled", step=step, signal=name, done=is_done)
        return is_done

    # -- the end

    def leave(self, state: State) -> None:
        """Have the job requeued if the run is to go on. Everything else is on the disk by now."""
        if self.own is None or state.run is not RunState.PREEMPTED:
            return
        by = None if state.stop is None else state.stop.by
        if state.failure is Failure.STOPPED_BY_USER or by is StopSource.LAUNCHER_DEATH:
            return
        said = last_words.read(_STDERR, self.own.job_id, self._since_wall)
        verdict = requeue.plan(self.own, said, wall_s())
        entry = RequeueEntry(job=self.own.name, verdict=verdict.value)
        # Recorded before the order: SLURM ends the process that orders a requeue.
        self._run.journal.record(entry)
        outcome = requeue.carry_out(self.own, verdict, self._by_hand(), requeue.scontrol)
        if outcome.verdict is not verdict:
            self._run.journal.record(replace(entry, verdict=outcome.verdict.value))
        priority = journal_stream.NOTICE if outcome.is_requeued else journal_stream.WARNING
        if outcome.verdict is Requeue.CANCELLED:
            priority = journal_stream.NOTICE
        self._run.console.say(outcome.line, priority)

    def _by_hand(self) -> str:
        config = shlex.quote(os.environ.get("SUPERVISOR_CONFIG", "CONFIG"))
        return f"supervisor sbatch {config}"

    def status(self, wall: float) -> SlurmStatus | None:
        """The job that the run is in, and what is known of its end."""
        own, found = self.own, self._facts
        if own is None:
            return None
        ends_at = None if found is None else found.ends_at
        return SlurmStatus(
            job=own.name,
            job_id=own.job_id,
            array_task=own.array_task,
            partition=own.partition,
            restart_count=own.restart_count,
            ends_at=None if ends_at is None else rfc3339(ends_at),
            time_left_s=None if ends_at is None else round(max(ends_at - wall, 0.0), 1),
            end=None if found is None or found.end is None else found.end.value,
            requeue=None if found is None else found.requeue.value,
        )


def is_srun(pid: int) -> bool:
    """Whether that process is srun, however it was started."""
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
            return file.read().strip() == "srun"
    except OSError:
        return False
