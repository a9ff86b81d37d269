"""Where things are in a run directory (the contract of docs/run-directory.md); it does no I/O."""

from dataclasses import dataclass
from pathlib import Path

from supervisor.worker.adapters import TRAININGS


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The names inside one run directory."""

    run_dir: Path

    @property
    def train_log(self) -> Path:
        """All that the trainer printed, each attempt's output after the one before."""
        return self.run_dir / "train.log"

    @property
    def state_dir(self) -> Path:
        """The supervisor's own directory, 0700."""
        return self.run_dir / ".supervisor"

    @property
    def lock(self) -> Path:
        """The lock file: who has the run."""
        return self.state_dir / "run.lock"

    @property
    def status(self) -> Path:
        """The run's present state, readable without the daemon."""
        return self.state_dir / "status.json"

    @property
    def no_daemon(self) -> Path:
        """Written by the launcher while no daemon can be started; missing otherwise."""
        return self.state_dir / "no-daemon.json"

    @property
    def intent(self) -> Path:
        """What the operator wants."""
        return self.state_dir / "intent.json"

    @property
    def ledger(self) -> Path:
        """What happened to the run, append-only."""
        return self.state_dir / "ledger.jsonl"

    @property
    def reserve(self) -> Path:
        """1 MiB that is given back on a full disk, so that a decision can still be recorded."""
        return self.state_dir / "reserve"

    @property
    def log(self) -> Path:
        """The daemon's own log, JSON lines."""
        return self.state_dir / "supervisor.log"

    @property
    def incidents(self) -> Path:
        """One numbered folder for each incident."""
        return self.state_dir / "incidents"

    @property
    def hook_logs(self) -> Path:
        """What each hook printed, a file for each."""
        return self.state_dir / "hooks"

    @property
    def config(self) -> Path:
        """The validated configuration that the current supervisor runs with."""
        return self.state_dir / "config.json"

    @property
    def surroundings(self) -> Path:
        """What the last attempt and the last good one ran in, one file for each."""
        return self.state_dir / "surroundings"

    @property
    def trainings(self) -> Path:
        """The saves of adapters, a line for each: a trainer writes it, and no daemon."""
        return self.state_dir / TRAININGS

    @property
    def pins(self) -> Path:
        """One empty file for each pinned checkpoint's name."""
        return self.state_dir / "pins"

    @property
    def set_aside(self) -> Path:
        """Checkpoints that were set aside, if a rename can move them here."""
        return self.state_dir / "set-aside"

    @property
    def submission(self) -> Path:
        """The SLURM job that `supervisor sbatch` submitted last."""
        return self.state_dir / "slurm.json"
