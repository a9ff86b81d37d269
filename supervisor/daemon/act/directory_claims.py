"""A run's claims to all its checkpoint directories: its own, and those that its trainers named."""

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from supervisor.config.model import RunConfig
from supervisor.core.history import History
from supervisor.daemon.act.directory_claim import DirectoryClaim
from supervisor.daemon.look.described_directories import DescribedDirectories
from supervisor.daemon.tell.console import Console
from supervisor.daemon.tell.journal import Journal
from supervisor.rundir.ownership import Claimant
from supervisor.survey.answer import Survey
from supervisor.system.clock import wall_s

MakeClaim = Callable[[Path], DirectoryClaim]


class DirectoryClaims:
    """Claims two directories: the run's own, and what its trainer named last.

    A directory that was named earlier keeps its mark. Before anything is changed there, it is
    looked at again.
    """

    def __init__(self, own: DirectoryClaim, named: DescribedDirectories, make: MakeClaim) -> None:
        """`make`: makes the claim to a directory that a trainer named."""
        self._own = own
        self._named = named
        self._make = make
        self._made: dict[Path, DirectoryClaim] = {}

    def begin(self) -> str | None:
        """Claim the directories for a launch. Returns why that is refused, else None."""
        refused = [claim.begin() for claim in self._current()]
        return next((why for why in refused if why is not None), None)

    def note_survey(self, survey: Survey) -> None:
        """Claim again after a survey: a directory may be new, or another run's by now."""
        for claim in self._current():
            claim.note_survey(survey)

    def poll(self) -> None:
        """Claim each directory as soon as its parent exists: a trainer may just have named it."""
        for claim in self._current():
            claim.poll()

    def conflict(self) -> str | None:
        """Why this run may not use the directories, and what to do; else None. Writes nothing."""
        said = (claim.conflict() for claim in self._current())
        return next((why for why in said if why is not None), None)

    def refusal(self, directory: Path) -> str | None:
        """Why a directory must be left as it is; None where the run may change it."""
        is_named = str(directory) in self._named.all()
        return (self._of(directory) if is_named else self._own).refusal()

    @property
    def warning(self) -> str | None:
        """What `status` shows while a directory is another run's."""
        said = (claim.warning for claim in self._current())
        return next((why for why in said if why is not None), None)

    def _current(self) -> Iterator[DirectoryClaim]:
        yield self._own
        current = self._named.current
        if current is not None and current != self._own.directory:
            yield self._of(current)

    def _of(self, directory: Path) -> DirectoryClaim:
        if directory == self._own.directory:
            return self._own
        claim = self._made.get(directory)
        if claim is None:
            claim = self._made[directory] = self._make(directory)
        return claim


def claims_of(
    config: RunConfig,
    run_id: str,
    run_dir: Path,
    history: History,
    named: DescribedDirectories,
    journal: Journal,
    console: Console,
) -> DirectoryClaims:
    """The claims of a run as its daemon begins."""
    path = shlex.quote(os.environ.get("SUPERVISOR_CONFIG", "CONFIG"))
    mine = Claimant(run_id, config.name, run_dir, config.resume.existing == "use", path)
    # A named directory is known only once the trainer is there.
    of_named = replace(mine, trains_since=history.first_attempt_wall or wall_s())
    directory = Path(config.checkpoints.directory or run_dir)
    own = DirectoryClaim(directory, mine, journal, console, has_begun=history.attempt > 0)

    def make(place: Path) -> DirectoryClaim:
        return DirectoryClaim(place, of_named, journal, console, has_begun=True)

    return DirectoryClaims(own, named, make)
