"""Marks the checkpoint directory as this run's at a launch, and checks the mark again later."""

import os
from pathlib import Path

from supervisor.checkpoint import owner_mark
from supervisor.core.vocabulary import Tier
from supervisor.daemon.tell.console import Console
from supervisor.daemon.tell.journal import Journal
from supervisor.rundir.claiming import Claim, claim, took_over
from supervisor.rundir.ownership import Claimant, Ownership, Refusal, Standing, look, refusal
from supervisor.rundir.save_writers import read_writers
from supervisor.survey.answer import Survey
from supervisor.system import journal_stream


class DirectoryClaim:
    """One run's claim to its checkpoint directory. Another run's directory is left as it is."""

    def __init__(
        self,
        directory: Path,
        claimant: Claimant,
        journal: Journal,
        console: Console,
        *,
        has_begun: bool,
    ) -> None:
        """`has_begun`: an attempt of this run was launched before."""
        self.directory = directory
        self._claimant = claimant
        self._journal = journal
        self._console = console
        self._has_begun = has_begun
        self._has_checkpoint = False
        self._waits_for_parent = has_begun
        self._place: Path | None = None
        self._problem: str | None = None
        self._told_of: str | None = None
        self.warning: str | None = None
        """What `status` shows while the directory is another run's."""

    def begin(self) -> str | None:
        """Claim the directory for a launch. Returns why that is refused, else None."""
        self._has_begun = True
        refused = self._claim()
        if refused is not None and self._may_train_beside(refused):
            self._tell(refused)
            return None
        self.warning = None if refused is None else refused.message
        return None if refused is None else f"{refused.message}; {refused.hint}"

    def note_survey(self, survey: Survey) -> None:
        """Claim again after a survey: the directory may be new, or another run's by now."""
        self._has_checkpoint = any(
            entry.tier == Tier.DISK and entry.path.parent.is_relative_to(self.directory)
            for entry in survey.entries
        )
        if self._has_begun:  # no mark before the first launch, which may never come
            self._look_again()
            if self.warning is None:
                self._tell_of_another()

    def poll(self) -> None:
        """Claim the directory as soon as its parent exists."""
        if self._waits_for_parent and _is_there(self.directory):
            self._look_again()

    def conflict(self) -> str | None:
        """Why this run may not use the directory, and what to do; else None. It writes nothing."""
        found = look(self.directory, self._claimant)
        refused = None if self._is_only_spoilt(found) else refusal(found, self._claimant)
        if refused is not None and self._may_train_beside(refused):
            return None
        return None if refused is None else f"{refused.message}; {refused.hint}"

    def refusal(self) -> str | None:
        """Why the directory must be left as it is; None where the run may change it."""
        found = look(self.directory, self._claimant)
        if self._is_only_spoilt(found):
            return None
        refused = refusal(found, self._claimant)
        if refused is not None:
            return refused.message
        over, own = found.of(Standing.OVER), found.of(Standing.OWN)
        return f"{found.directory}: still marked by another run" if over and not own else None

    def _look_again(self) -> None:
        self._tell(self._claim())

    def _tell(self, refused: Refusal | None) -> None:
        said = None
        if refused is not None:
            said = f"{refused.message}; the supervisor prunes nothing there"
            said += "" if self._may_train_beside(refused) else ", and refuses the next launch"
            said += f"; {refused.hint}"
            if said != self.warning:
                self._console.say(said, journal_stream.WARNING)
        self.warning = said

    def _tell_of_another(self) -> None:
        """Warn the directory's owner, too, where a trainer named it: it may not know the other."""
        since = self._claimant.trains_since
        if since is None:
            return
        place = str(owner_mark.resolved(self.directory))
        there = read_writers(self._claimant.run_dir).others.items()
        other = next(
            (
                run
                for path, (when, run) in there
                if path.rpartition("/")[0] == place and when > since
            ),
            None,
        )
        said = (
            None
            if other is None
            else (
                f"{place}: the run in {other} has saved there, too, since this run began; only"
                " checkpoints that this run wrote itself count as its own; give one of the two runs"
                " another output directory by its trainer's own option, such as `--output_dir`"
            )
        )
        if said is not None and said != self._told_of:
            self._console.say(said, journal_stream.WARNING)
        self._told_of = self.warning = said

    def _may_train_beside(self, refused: Refusal) -> bool:
        """Whether this run goes on although the directory stays another run's.

        It does where its trainer named the directory, and the other run is finished: this run goes
        on from what it wrote there itself.
        """
        return refused.is_of_finished and self._claimant.trains_since is not None

    def _claim(self) -> Refusal | None:
        """Make or renew the mark. Returns why the directory is another run's, else None."""
        made = self._try(by_force=False)
        if made.place is None and self._is_only_spoilt(made.ownership):
            made = self._try(by_force=True)
            self._journal.log.warning("owner_mark_repaired", place=str(made.place))
            return None
        self._place = made.place
        self._waits_for_parent = not _is_there(made.ownership.directory)
        for entry, line in took_over(made):
            self._journal.record(entry)
            self._console.say(line, journal_stream.NOTICE)
        if made.problem != self._problem:
            self._problem = made.problem
            self._journal.log.info("owner_mark", place=str(made.place), problem=made.problem)
        return refusal(made.ownership, self._claimant)

    def _try(self, *, by_force: bool) -> Claim:
        return claim(
            self.directory,
            self._claimant,
            has_checkpoint=self._has_checkpoint,
            by_force=by_force,
        )

    def _is_only_spoilt(self, found: Ownership) -> bool:
        """Whether the only trouble is this run's own mark, which has become unreadable."""
        unseen = found.of(Standing.UNSEEN)
        is_own = all(one.file.mark is None and one.file.path == self._place for one in unseen)
        return bool(unseen) and is_own and not found.of(Standing.TAKEN)


def _is_there(directory: Path) -> bool:
    """Whether the directory's parent exists; False where a dead mount or a mode hides it."""
    return os.path.isdir(owner_mark.resolved(directory).parent)  # noqa: PTH112
