"""What belongs to one run while its daemon lives; a plain record, it does nothing."""

from dataclasses import dataclass

from supervisor.config.model import RunConfig
from supervisor.core.history import History
from supervisor.daemon.act.directory_claims import DirectoryClaims
from supervisor.daemon.look.described_directories import DescribedDirectories
from supervisor.daemon.look.progress import ProgressReader
from supervisor.daemon.look.surveyor import Surveyor
from supervisor.daemon.tell.console import Console
from supervisor.daemon.tell.journal import Journal
from supervisor.daemon.tell.notifier import Noticed
from supervisor.daemon.tell.tally import Tally
from supervisor.diagnosis.kernel_log import KernelLog
from supervisor.diagnosis.user_rules import NO_RULES, UserRules
from supervisor.rundir.incidents import IncidentFolders
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.runtime_directory import RuntimeDirectory


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
    directory_claim: DirectoryClaims
    named: DescribedDirectories
    progress: ProgressReader | None
    """Reads steps from the log; None where the user gave no `watch.progress`."""
    kernel_log: KernelLog
    tally: Tally
    noticed: Noticed
    rules: UserRules = NO_RULES
    """The user's own rules for what the log says at an attempt's end."""
