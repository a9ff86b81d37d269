"""The part of the configuration that decisions depend on."""

from dataclasses import dataclass

from supervisor.core.rules.exit_codes import ExitRules
from supervisor.core.rules.warm_launch import LaunchMode
from supervisor.core.vocabulary import Phase


@dataclass(frozen=True, slots=True)
class Policy:
    """The part of the configuration that decisions depend on; durations in seconds."""

    grace_s: float = 120.0
    backoff_s: float = 10.0
    backoff_max_s: float = 300.0
    max_failures: int = 5
    max_per_day: int = 50
    exit_codes: ExitRules = ()
    heartbeat_timeout_s: float | None = None
    startup_timeout_s: float | None = None
    phase_timeouts_s: tuple[tuple[Phase, float], ...] = ()
    log_silence_s: float = 1800.0
    restart_on_silence: bool = False
    start_fresh_if_none_valid: bool = False
    trainer_finds_checkpoints: bool = False
    has_resume_args: bool = False
    finish_step: int | None = None
    has_finish_condition: bool = False
    launch_mode: LaunchMode = LaunchMode.AUTO
    seed: int = 0
    has_launch_hook: bool = False
    config_path: str = "CONFIG"
    """The configuration's path, as a shell takes it."""
    run_dir: str = ""

    @property
    def run_line(self) -> str:
        """What to type to go on with the run."""
        return f"supervisor run {self.config_path}"

    @property
    def resume_line(self) -> str:
        """What to type to let a held run go on."""
        return f"supervisor resume {self.run_dir}".rstrip()
