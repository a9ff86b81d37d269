"""Whether the trainer saves where nobody looks: asked from time to time, told once, recorded.

A run whose checkpoints are not seen would begin again from nothing over them.
"""

import os
from dataclasses import replace
from pathlib import Path

from supervisor import journal_stream
from supervisor.checkpoint.directory_advice import advice
from supervisor.checkpoint.elsewhere import Saves
from supervisor.checkpoint.records import Survey
from supervisor.checkpoint.save_search import Memo, SaveSearch
from supervisor.clock import monotonic_s, wall_s
from supervisor.core.events import Observed, Surveyed, SurveyFailed
from supervisor.daemon.attempt_times import AttemptTimes
from supervisor.daemon.run import Run

# A look reads names for two seconds at most; a training of weeks is looked at every ten minutes.
FIRST_LOOKS_S = 5.0
SELDOM_LOOKS_S = 600.0


class SaveWatch:
    """Orders looks for saves as long as no checkpoint is recognised, and keeps what they found."""

    def __init__(self, run: Run, times: AttemptTimes) -> None:
        self._run = run
        self._times = times
        self._is_wanted = run.config.resume.by != "trainer"
        self._main_pid: int | None = None
        self._memo = Memo()
        self._stepped: float | None = None
        self._has_taken_stock = False
        self._due_at = float("inf")
        self._pause_s = FIRST_LOOKS_S
        self.found: str | None = run.history.unseen
        """Where the trainer saves, with the lines to write; None where nothing was found."""

    def begin(self, main_pid: int | None, *, is_adopted: bool = False) -> None:
        """An attempt runs; what is there now was not saved by it, as far as this daemon knows."""
        self._main_pid = main_pid
        self._memo = Memo()
        self._stepped, self._has_taken_stock = None, False
        self._pause_s, self._due_at = FIRST_LOOKS_S, monotonic_s()
        if not is_adopted:
            self.found = None

    def note_observed(self, observed: Observed, now: float) -> None:
        """Note the attempt's first step; from then on what is written counts."""
        if self._stepped is None and (observed.beating or observed.step is not None):
            ago = 0.0 if observed.first_step_at is None else max(now - observed.first_step_at, 0.0)
            self._stepped = wall_s() - ago
            self._has_taken_stock, self._due_at = False, now

    def is_due(self, now: float) -> bool:
        """Whether it is time for a look while the attempt runs."""
        return self._is_wanted and now >= self._due_at

    def order(self, *, deciding: bool) -> SaveSearch | None:
        """What the next survey is to look for; None where there is nothing to ask."""
        since = self._stepped if self._stepped is not None else self._times.started
        now = monotonic_s()
        is_of_this_daemon = self._due_at != float("inf")
        if not self._is_wanted or since is None or not is_of_this_daemon:
            return None
        if not deciding and now < self._due_at:
            return None
        takes_stock = not deciding and not self._has_taken_stock
        if not deciding:
            self._due_at = now + self._pause_s
            # The stock is one look; what is written a second time takes two more, soon.
            self._pause_s = min(self._pause_s * (1 if takes_stock else 2), SELDOM_LOOKS_S)
            self._has_taken_stock = True
        config = self._run.config
        return SaveSearch(
            command=config.command,
            cwd=os.getcwd(),  # noqa: PTH109 -- as the trainer has it
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

    def note_survey(self, survey: Survey, attempt: int) -> str | None:
        """Take in what a survey found; a sentence where that is news."""
        if survey.exists:
            self.found, self._due_at = None, float("inf")
            return None
        if survey.sightings is None:
            return None
        self._memo = survey.sightings.memo
        if not survey.sightings.saves:
            return None
        best = survey.sightings.saves[0]
        said = _sentence(best, self._run.surveyor.directory)
        is_news, self.found = self.found is None, said
        # Its names grow with each save: recorded once.
        if not is_news:
            return None
        self._run.journal.record(
            {
                "type": "saves_elsewhere",
                "attempt": attempt,
                "directory": str(best.directory),
                "names": list(best.names),
                "step": best.step,
                "advice": said,
            }
        )
        line = f"{said}; until then a failure is held"
        self._run.console.say(line, journal_stream.WARNING)
        return line

    def with_found(self, event: Surveyed | SurveyFailed) -> Surveyed | SurveyFailed:
        """The event with what this run's trainers were found to save elsewhere."""
        return replace(event, unseen=self.found) if isinstance(event, Surveyed) else event


def _sentence(saves: Saves, supervised: Path) -> str:
    listed = ", ".join(saves.names[:3])
    lines = advice(saves, supervised, Path.cwd())
    if saves.is_new_each_start:
        lines += ", with these saves moved there"
    else:
        lines = f"write {lines}"
    if saves.directory == supervised.resolve() and not saves.is_recognised:
        return f"the trainer saves {listed} in {supervised}, names that are not known; {lines}"
    return (
        f"the trainer saves into {saves.directory} ({listed}), and the supervisor looks into"
        f" {supervised}; {lines}"
    )
