"""The configuration of one run, typed and frozen. It must not read files: `load.py` does."""

import shlex
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator

from supervisor.config.checkpoints_section import CheckpointsConfig
from supervisor.config.hook_section import HooksConfig
from supervisor.config.places import absolute, absolute_run_dir
from supervisor.config.sections import (
    DiagnosisConfig,
    FinishConfig,
    LaunchConfig,
    LoggingConfig,
    RestartConfig,
    ResumeConfig,
    Section,
    WatchConfig,
)
from supervisor.config.source import NAME
from supervisor.config.telling_sections import MetricsConfig, NotifyConfig
from supervisor.config.values import Duration, Integrate, SignalName, Word
from supervisor.config.yaml_word import yaml_word


class RunConfig(Section):
    """One training run: its command, and how it is kept going."""

    name: str = "run"
    """The run's name. A run directory belongs to one name.

    Letters, digits and `. _ -`, 64 at most, a letter or digit first. A run directory of another
    name is refused (exit code 78). Default: the file's name."""
    command: tuple[Word, ...]
    """The training command, one item a word; it is not run by a shell. A script: `[bash, run.sh]`.

    For pipes and variables: `[bash, -c, "…"]`."""
    run_dir: Annotated[str, Field(min_length=1)] | None = None
    """Where `train.log` and `.supervisor/` are kept.

    Default: `runs/<name>`."""
    cwd: Annotated[str, Field(min_length=1)] | None = None
    """Where the command runs, and where relative paths begin; itself relative to this file.

    Default: the directory in which `supervisor` is called."""
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    resume: ResumeConfig = ResumeConfig()
    finish: FinishConfig = FinishConfig()
    watch: WatchConfig = WatchConfig()
    diagnosis: DiagnosisConfig = DiagnosisConfig()
    restart: RestartConfig = RestartConfig()
    grace: Duration = 120.0
    """How long a trainer that was asked to stop may take to save and end."""
    signals: tuple[SignalName, ...] = ("TERM", "USR1")
    """Signals to `supervisor run` that mean: save and end, to go on later.

    TERM, USR1, HUP and INT can be listed; INT always means this."""
    logging: LoggingConfig = LoggingConfig()
    metrics: MetricsConfig = MetricsConfig()
    notify: NotifyConfig = NotifyConfig()
    hooks: HooksConfig = HooksConfig()
    launch: LaunchConfig = LaunchConfig()
    integrate: Integrate = "auto"
    """Which training libraries the supervisor works with by itself: `auto`, `none`, or a list of
    `huggingface`, `lightning`, `accelerate`, `torch`, `wandb`.

    An unchanged script of the first two then reports its steps, saves when it is asked to stop, and
    resumes. Of a loop of the next two the supervisor sees that it lives; W&B's runs hear of
    restarts. For that the command's `PYTHONPATH` begins with a folder of the supervisor; with
    `none` it does not."""
    env: dict[Annotated[str, Field(pattern=r"^[^=\x00]+$")], str] = Field(default_factory=dict)
    """Added to the environment of the trainer. Values are text: quote numbers."""

    @field_validator("name")
    @classmethod
    def _a_sane_file_name(cls, name: str) -> str:
        """The name becomes a directory. Raises ValueError."""
        if not NAME.fullmatch(name):
            raise ValueError(
                "must be a file name: at most 64 letters, digits, . _ -, with a letter or digit"
                " first"
            )
        return name

    @field_validator("command", mode="before")
    @classmethod
    def _not_one_text(cls, command: object) -> object:
        """A text would need a shell's rules to take apart. Raises ValueError."""
        if isinstance(command, str):
            try:
                words = shlex.split(command)
            except ValueError:
                words = command.split()
            listed = ", ".join(yaml_word(word) for word in words)
            raise ValueError(f"must be a list, each word an item: [{listed}]")
        if isinstance(command, (list, tuple)) and not command:
            raise ValueError("is empty: give the training command, each word an item")
        if isinstance(command, (list, tuple)) and command[0] == "":
            raise ValueError("begins with an empty word: the first word must be the program")
        return command

    @field_validator("signals", mode="before")
    @classmethod
    def _without_prefix(cls, names: object) -> object:
        """SIGTERM and TERM are the same signal."""
        if isinstance(names, (list, tuple)):
            return tuple(n.removeprefix("SIG") if isinstance(n, str) else n for n in names)
        return names

    @property
    def configured_directory(self) -> str | None:
        """The checkpoint directory that the user gave; None if it is the run directory.

        The run directory is the default. It says nothing of where the trainer saves.
        """
        directory = self.checkpoints.directory
        return None if directory == self.run_dir else directory

    def resolved(self, directory: Path) -> Self:
        """The same with absolute paths; relative ones begin in `cwd`, else in `directory`."""
        directory = Path(self.cwd) if self.cwd is not None else directory
        run_dir = absolute_run_dir(self.run_dir, self.name, directory)
        checkpoints = absolute(self.checkpoints.directory or run_dir, directory)
        finish = self.finish
        if finish.file is not None:
            finish = finish.model_copy(update={"file": absolute(finish.file, directory)})
        diagnosis = self.diagnosis
        if diagnosis.rules is not None:
            rules = absolute(diagnosis.rules, directory)
            diagnosis = diagnosis.model_copy(update={"rules": rules})
        metrics = self.metrics
        if metrics.textfile is not None:
            textfile = absolute(metrics.textfile, directory)
            metrics = metrics.model_copy(update={"textfile": textfile})
        return self.model_copy(
            update={
                "run_dir": run_dir,
                "checkpoints": self.checkpoints.model_copy(update={"directory": checkpoints}),
                "finish": finish,
                "diagnosis": diagnosis,
                "metrics": metrics,
            }
        )

    def to_json(self) -> str:
        """All values as JSON that `RunConfig.model_validate_json` turns back into the same."""
        unset: dict[str, set[str] | bool] = {}
        if absent := self.checkpoints.left_out:
            unset["checkpoints"] = absent
        if not self.restart.exit_codes:
            # After an upgrade that is taken back, a daemon of before would refuse the key.
            unset["restart"] = {"exit_codes"}
        if self.integrate == "auto":
            unset["integrate"] = True  # the same
        if self.cwd is None:
            unset["cwd"] = True
        if self.diagnosis.rules is None:
            unset["diagnosis"] = True
        if self.metrics.textfile is None:
            unset["metrics"] = True
        if self.notify == NotifyConfig():
            unset["notify"] = True
        if self.hooks == HooksConfig():
            unset["hooks"] = True
        return self.model_dump_json(exclude=unset, indent=2)
