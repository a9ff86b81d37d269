"""What belongs to one run while its daemon lives; a plain record, it does nothing."""

from dataclasses import dataclass

from supervisor.config.model import RunConfig
from supervisor.core.history import History
from supervisor.daemon.console import Console
from supervisor.daemon.directory_claim import DirectoryClaim
from supervisor.daemon.journal import Journal
from supervisor.daemon.surveyor import Surveyor
from supervisor.rundir.incidents import IncidentFolders
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.runtime_directory import RuntimeDirectory
from supervisor.watch.progress import ProgressReader


@dataclass(frozen=True, slots=True)
class Run:
    """The parts that the daemon's loop and its performer share."""

    paths: RunPaths
    config: RunConfig
    run_id: str
    history: History
    journal: Journal
    console: Console
    runtime: RuntimeDirectory
    surveyor: Surveyor
    incidents: IncidentFolders
    directory_claim: DirectoryClaim
    progress: ProgressReader | None
    """How steps are read from the log, where the user says so."""
