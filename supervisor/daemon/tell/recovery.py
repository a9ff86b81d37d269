"""Tells what a kill would cost the training, once it trains.

No decision depends on it. It is told once a run, and again only when it changes.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from signal import SIGTERM

from supervisor.checkpoint.how_to_resume import how_to_resume
from supervisor.checkpoint.records import CheckpointEntry
from supervisor.core.entries.trainer import RecoveryEntry
from supervisor.core.rules.recovery import Recovery, StopWay, recovery_sentences
from supervisor.core.save_interval_words import WORTH_S, save_interval_text
from supervisor.core.sign_of_life import StopAnswer
from supervisor.core.states import State
from supervisor.core.trainer_description import TrainerDescription
from supervisor.core.vocabulary import RunState, Tier
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.look.exit_code_owner import runs_python
from supervisor.daemon.look.next_save import NextSave
from supervisor.daemon.look.observer import Observation
from supervisor.daemon.look.save_costs import SaveCosts
from supervisor.daemon.run import Run
from supervisor.daemon.tell.auto_interval import AutoIntervalWarning
from supervisor.daemon.tell.interval_hint import IntervalHints
from supervisor.daemon.tell.status import StatusFacts
from supervisor.survey.answer import Survey
from supervisor.system.clock import wall_s
from supervisor.system.procfs import would_die_of

# So long the steps are watched for their pace. Attempts that end within it are told nothing.
PACE_S = 2.0
# Where no step follows the first one, the paragraph comes without times; and where a bar alone
# shows that something goes on, so late.
LONGEST_WAIT_S = 20.0
# A search or a loop over folds has no more to say than this.
_TOLD_MOST = 10
# Two saves may be one epoch's last and best. Their interval counts once a third one is proven, and
# only if the next save is not long overdue by it: a file is proven 10 s after it was written.
_LEAST_SAVES = 3
_FRESH_S = 9.0
_OVERDUE = 2.0
# Loops that only show that they live: nothing saves at a stop but they themselves.
_SIGNS_OF_LIFE = ("accelerate", "torch")
_LAUNCHERS = frozenset({
    "torchrun", "torch.distributed.run", "torch.distributed.launch", "accelerate", "deepspeed",
    "accelerate-launch", "mpirun", "mpiexec", "srun", "horovodrun", "uv", "conda", "poetry",
})  # fmt: skip


class RecoveryTeller:
    """Follows the attempts of one run."""

    def __init__(self, run: Run, next_save: NextSave, costs: SaveCosts) -> None:
        """`next_save` has learned how often the trainer saves, `costs` for how long."""
        history = run.history
        self._sentences = history.recovery
        self._hints = IntervalHints(run, costs)
        self._auto = AutoIntervalWarning(run, costs)
        self._costs = costs
        self._known = Recovery()
        self._run = run
        self._next_save = next_save
        self._keys = history.recovery_keys
        self._place: str | None = None
        """The place that the sentences name."""
        self._tool: str | None = None
        self._has_saved = False
        self._proven: dict[str, float] = {}
        self._saves = 0
        """Proven ones of this daemon's attempts."""
        self._begin(0)

    @property
    def told(self) -> tuple[str, ...]:
        """What `status` shows."""
        hint = self._hints.sentence
        return self._sentences if hint is None else (*self._sentences, hint)

    @property
    def warning(self) -> str | None:
        """What `status` warns of."""
        return self._auto.warning

    def fill(self, facts: StatusFacts, state: State) -> None:
        """Fill in what the status says of recovery and of the time between saves."""
        known = self._known
        facts.recovery = self.told
        facts.save_interval = self._costs.status(state, known.interval_s, known.step_s)

    def say_last(self, state: State) -> None:
        """At the end of a training, say how often the next one should save."""
        known, trained_s = self._known, state.account.training_s
        if state.run is not RunState.COMPLETED or trained_s < WORTH_S:
            return
        saves = self._costs.status(state, known.interval_s, known.step_s)
        if text := save_interval_text(saves):
            self._run.console.say(f"saves: {text}")

    def _begin(self, attempt: int) -> None:
        self._attempt = attempt
        self._trains_since: float | None = None
        self._first: tuple[float, int] | None = None
        self._step_s: float | None = None
        self._stop: StopWay | None = None
        self._is_sure = False
        self._newest: CheckpointEntry | None = None
        """The newest save of the attempt, proven or not."""

    def note_survey(self, survey: Survey, since: float | None) -> None:
        """Take in what a survey found; `since`: the attempt's start, seconds since 1970."""
        self._note_saves(survey.entries, wall_s() if since is None else since)
        newest = survey.newest_valid
        self._has_saved = newest is not None and newest.own_run
        if newest is not None:
            sentence = how_to_resume(newest.path, newest.hashes)
            self._tool = None if sentence is None else sentence.partition(":")[0]

    def _note_saves(self, entries: Iterable[CheckpointEntry], since: float) -> None:
        for entry in entries:
            is_save = entry.tier == Tier.DISK and entry.own_run and entry.valid is not False
            if not is_save or entry.mtime < since:
                continue
            if self._newest is None or entry.mtime >= self._newest.mtime:
                self._newest = entry
            # While it is being written, the same checkpoint has one time after the other.
            if entry.valid and entry.mtime > self._proven.get(str(entry.path), 0.0):
                self._proven[str(entry.path)] = entry.mtime
                self._saves += 1

    def _seen_s(self, now: float) -> float | None:
        """How often it saves, as was seen; None: not known yet."""
        interval_s, written_at = self._next_save.interval_s, self._next_save.written_at
        if interval_s is None or written_at is None or self._saves < _LEAST_SAVES:
            return None
        age_s = now - written_at
        return interval_s if age_s <= max(_OVERDUE * interval_s, _FRESH_S) else None

    def poll(self, state: State, attempt: RunningAttempt | None, now: float) -> None:
        """Tell what is news, once the running attempt trains."""
        look = None if attempt is None else attempt.look
        if attempt is None or look is None or not state.alive or state.run is not RunState.RUNNING:
            return
        if attempt.number != self._attempt:
            self._begin(attempt.number)
        self._costs.look(attempt)
        if not self._trains(look, now):
            return
        self._known = known = self._knowledge(attempt, look, state, now)
        self._costs.record(state)
        waited_s = now - (self._trains_since or now)
        waits = not self._is_sure or (bool(known.save_steps) and known.interval_s is None)
        if waited_s < PACE_S or (waits and waited_s < LONGEST_WAIT_S):
            return
        if len(self._keys) < _TOLD_MOST and known.is_news(self._keys):
            self._tell(known)
        elif known.place != self._place and known.key in self._keys:
            # The sentences are on record, of a place that differs in a number alone.
            self._sentences, self._place = recovery_sentences(known), known.place
        self._hints.poll(known, state)
        if known.step_s is not None or waited_s >= LONGEST_WAIT_S:
            self._auto.poll(known, state)

    def _trains(self, look: Observation, now: float) -> bool:
        """Whether there is a sign of training: a step, a printed count, or a checkpoint."""
        step = look.observed.step
        if step is not None:
            first = self._first
            if first is None or step < first[1]:
                self._first = now, step
            elif step > first[1] and now - first[0] >= PACE_S:
                self._step_s = (now - first[0]) / (step - first[1])
        course = look.course
        is_shown = course.step is not None or course.batch is not None
        is_sure = look.observed.beating or step is not None or self._newest is not None
        # A bar without a loss may be of what comes before: a download, the data made ready.
        self._is_sure = self._is_sure or is_sure or (is_shown and course.loss is not None)
        if (self._is_sure or is_shown) and self._trains_since is None:
            self._trains_since = now
        return self._trains_since is not None

    def _knowledge(
        self, attempt: RunningAttempt, look: Observation, state: State, now: float
    ) -> Recovery:
        said = look.description or TrainerDescription()
        seen_s = self._seen_s(now)
        is_said = said.save_every is not None or said.save_every_s is not None
        place = said.directory
        if place is None and self._newest is not None:
            place = str(self._newest.path.parent)
        if place is None and self._has_saved:
            place = str(self._run.surveyor.directory)
        step_s = attempt.step_time.typical_s or self._step_s
        known = Recovery(
            trainer=said.framework or self._tool,
            is_by_format=said.framework is None and self._tool is not None,
            place=None if place is None else _shown(place),
            save_steps=said.save_every,
            save_every_s=said.save_every_s,
            step_s=step_s,
            has_saved=self._has_saved,
            has_snapshots=state.memory is not None,
            not_restored=said.not_restored,
            is_order_known=said.stop is not None or (said.framework is None and _attached(look)),
            stop=self._stop_way(attempt, look, said),
        )
        told = self._costs.told
        if told is not None and told.auto and told.interval_s is not None:
            return replace(known, save_steps=None, save_every_s=told.interval_s, is_auto=True)
        if is_said or seen_s is None:
            return known
        return replace(known, save_every_s=seen_s, is_learned=True)

    def _stop_way(
        self, attempt: RunningAttempt, look: Observation, said: TrainerDescription
    ) -> StopWay | None:
        """What becomes of a stop; None while the process cannot be seen."""
        if said.stop is not None:
            return StopWay.SAVES if said.stop == StopWay.SAVES else StopWay.SCRIPT
        is_sign = (said.framework or "").partition(" ")[0] in _SIGNS_OF_LIFE
        if _attached(look) and not is_sign:
            return StopWay.ASKED
        is_sign = is_sign or bool(attempt.signs.living)
        # A bar may be shown before the loop's first step, which is its first sign of life. And what
        # handles SIGTERM in such a loop may turn out to be the hook.
        is_open = self._stop is None or (is_sign and self._stop is not StopWay.NEXT_SAVE)
        if is_open and attempt.pid is not None:
            self._stop = self._by_default(attempt, attempt.pid, is_sign=is_sign)
        return self._stop

    def _by_default(self, attempt: RunningAttempt, pid: int, *, is_sign: bool) -> StopWay:
        """How a stop will go, by what the process does with SIGTERM: the trainer has not said."""
        command = self._run.config.command
        is_launched = not _LAUNCHERS.isdisjoint(map(os.path.basename, command))
        if is_launched or not runs_python(command):
            return StopWay.NEXT_SAVE if is_sign else StopWay.UNKNOWN
        dies = would_die_of(pid, SIGTERM)
        # The hook takes SIGTERM only where it had its default action. An adopted loop may have a
        # handler of the hook's by now.
        is_hooks = any(sign.stop is not StopAnswer.NONE for sign in attempt.signs.living)
        had_none = dies or is_hooks or self._stop is StopWay.DIES
        if is_sign and (had_none or "chosen" not in attempt.moments):
            return StopWay.NEXT_SAVE
        return StopWay.DIES if dies else StopWay.SCRIPT

    def _tell(self, known: Recovery) -> None:
        sentences = recovery_sentences(known)
        self._sentences, self._place = sentences, known.place
        self._keys = (*self._keys, known.key)
        entry = RecoveryEntry(attempt=self._attempt, sentences=sentences, about=known.key)
        self._run.journal.record(entry)
        self._run.console.say_paragraph(f"recovery: {'. '.join(sentences)}.")


def _attached(look: Observation) -> bool:
    return look.observed.attached or bool(look.pages)


def _shown(place: str) -> str:
    """A path as a person may know it: relative where it lies below the present directory."""
    try:
        here = Path.cwd()
    except OSError:
        return place
    path = Path(place)
    return str(path.relative_to(here)) if path.is_relative_to(here) and path != here else place
