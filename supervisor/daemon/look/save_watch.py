"""Whether the trainer saves where the supervisor does not look: told once, and recorded.

The next attempt of such a run would begin from nothing, and write over its checkpoints.
"""

import os
from pathlib import Path

from supervisor.core.entries.saves import SavesElsewhereEntry
from supervisor.core.events import Observed
from supervisor.daemon.look.attempt_times import AttemptTimes
from supervisor.daemon.look.printed_course import Course
from supervisor.daemon.run import Run
from supervisor.survey.answer import Survey
from supervisor.survey.elsewhere.advice import advice, staying_above
from supervisor.survey.elsewhere.findings import DirectorySaves
from supervisor.survey.elsewhere.sightings import Memo, SaveSearch
from supervisor.system import journal_stream
from supervisor.system.clock import monotonic_s, wall_s

# A look reads names for two seconds at most; a training of weeks is looked at every ten minutes.
FIRST_LOOKS_S = 5.0
SELDOM_LOOKS_S = 600.0


class SaveWatch:
    """Orders looks for saves as long as no checkpoint is recognised, and keeps what they found."""

    def __init__(self, run: Run, times: AttemptTimes) -> None:
        self._run = run
        self._times = times
        self._is_wanted = run.config.resume.by != "trainer"
        self._cwd = _working_directory(run.paths.run_dir)
        self._main_pid: int | None = None
        self._memo = Memo()
        self._stepped: float | None = None
        self._attached = run.history.ever_attached
        self._has_taken_stock = False
        self._due_at = float("inf")
        self._pause_s = FIRST_LOOKS_S
        # A directory that a trainer named is looked into, so that an older finding is over.
        self.found: str | None = None if run.named.current is not None else run.history.unseen
        """Where the trainer saves, with the lines to write; None where nothing was found."""

    @property
    def _is_to_be_told(self) -> bool:
        """Whether the trainer knows of no way to learn of a checkpoint, as far as is known."""
        return not self._attached and not self._run.config.resume.args

    def begin(self, main_pid: int | None, *, is_resumed: bool) -> None:
        """An attempt runs; files that exist now count as saved by others.

        `is_resumed`: it began from a checkpoint, so an earlier finding is dropped. Else it stands.
        """
        self._main_pid = main_pid
        self._memo = Memo()
        self._stepped, self._has_taken_stock = None, False
        self._pause_s, self._due_at = FIRST_LOOKS_S, monotonic_s()
        if is_resumed:
            self.found = None

    def note_observed(self, observed: Observed, course: Course, now: float) -> None:
        """Note the attempt's first step, beaten or printed: files written from then on count."""
        self._attached = self._attached or observed.attached
        is_printed = course.loss is not None or course.epoch is not None
        if self._stepped is None and (observed.beating or observed.step is not None or is_printed):
            ago = 0.0 if observed.first_step_at is None else max(now - observed.first_step_at, 0.0)
            self._stepped = wall_s() - ago
            self._has_taken_stock, self._due_at = False, now
            # The looks before the first step have become seldom, and the first save comes soon.
            self._pause_s = FIRST_LOOKS_S

    def is_due(self, now: float) -> bool:
        """Whether it is time for a look while the attempt runs."""
        return self._is_wanted and now >= self._due_at

    def order(self, *, deciding: bool) -> SaveSearch | None:
        """What the next survey is to look for; None where there is nothing to ask."""
        since = self._stepped if self._stepped is not None else self._times.started
        now = monotonic_s()
        if not self._is_wanted or since is None or (not deciding and now < self._due_at):
            return None
        takes_stock = not deciding and not self._has_taken_stock
        if not deciding:
            self._due_at = now + self._pause_s
            # The first look takes stock. A name written a second time shows in the two looks after
            # it, which must come soon.
            self._pause_s = min(self._pause_s * (1 if takes_stock else 2), SELDOM_LOOKS_S)
            self._has_taken_stock = True
        config = self._run.config
        return SaveSearch(
            command=config.command,
            cwd=self._cwd,
            variables=config.env,
            run_id=self._run.run_id,
            run_dir=str(self._run.paths.run_dir),
            supervised=str(self._run.surveyor.directory),
            pattern=config.checkpoints.pattern,
            main_pid=None if deciding else self._main_pid,
            since=since,
            until=self._times.ended if deciding else None,
            steps_seen=self._stepped is not None,
            takes_stock=takes_stock,
            memo=self._memo,
        )

    @property
    def warning(self) -> str | None:
        """What `status` shows while an attempt runs."""
        return (
            None
            if self.found is None
            else f"{self.found}; until then the run is held at its next failure"
        )

    def note_survey(self, survey: Survey, attempt: int) -> None:
        """Take in what a survey found; the first finding is told and recorded."""
        if survey.exists:
            self.found, self._due_at = None, float("inf")
            return
        if survey.sightings is None:
            return
        self._memo = survey.sightings.memo
        if survey.sightings.is_truncated:
            self._run.journal.log.info("save_search_truncated", found=len(survey.sightings.saves))
        if not survey.sightings.saves:
            return
        best = survey.sightings.saves[0]
        said = _sentence(best, self._run.surveyor.directory, Path(self._cwd))
        if best.how_to_resume is not None and self._is_to_be_told:
            said += f", and tell it how to resume ({best.how_to_resume})"
        is_news, self.found = self.found is None, said
        # The names grow with each save, so the finding is recorded only once.
        if not is_news:
            return
        self._run.journal.record(
            SavesElsewhereEntry(
                attempt=attempt,
                directory=str(best.directory),
                names=tuple(best.names),
                step=best.step,
                advice=said,
            )
        )
        self._run.console.say(self.warning or said, journal_stream.WARNING)


def _working_directory(otherwise: Path) -> str:
    """The working directory of daemon and trainer; `otherwise` if it was removed."""
    try:
        return os.getcwd()  # noqa: PTH109 -- links as they are
    except OSError:
        return str(otherwise)


def _sentence(saves: DirectorySaves, supervised: Path, cwd: Path) -> str:
    listed = ", ".join(saves.names[:3])
    lines = advice(saves, supervised, cwd)
    if saves.is_new_each_start and staying_above(saves) is None:
        lines += "; move these saves there"
    else:
        lines = f"write {lines}"
    if saves.directory == supervised.resolve() and not saves.is_recognised:
        return f"the trainer saves {listed} in {supervised}, but these names are not known; {lines}"
    return (
        f"the trainer saves into {saves.directory} ({listed}), but the supervisor looks into"
        f" {supervised}; {lines}"
    )
