"""The sections of a configuration and their keys; `model.py` puts the sections together.

The string below a key is its documentation, here and in `model.py`. A section's documentation is
the docstring of its class. `supervisor init` writes the first paragraph as a comment. The schema
and docs/configuration.md have the whole text.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from supervisor.config.arguments import PLACEHOLDERS, unknown_placeholders
from supervisor.config.exit_code_rules import ExitCodes
from supervisor.config.problems import nearest
from supervisor.config.values import (
    AutoDuration,
    Count,
    Duration,
    Word,
    with_progress_groups,
    with_step_group,
)

# The context in which `kept.py` reads a configuration that another version found right.
KEPT = "kept"


class Section(BaseModel):
    """What all sections share: unknown keys are errors and nothing changes after reading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True,
        hide_input_in_errors=True,  # it may hold an address of `notify`
    )  # fmt: skip


def section_below(field: FieldInfo) -> type[Section] | None:
    """The section that a key stands for; None for a key with a value."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


class ResumeConfig(Section):
    """How the trainer is told to resume. `SUPERVISOR_RESUME_FROM` is always set."""

    args: tuple[Word, ...] = ()
    """Appended to the command when there is a checkpoint. `{checkpoint}` is its path,
    `{checkpoint_dir}` its parent, `{name}` its last part, `{step}` its step.

    In `command` these placeholders are not filled in; `supervisor check` warns of them."""
    fresh_args: tuple[Word, ...] = ()
    """Appended to the command when there is no checkpoint."""
    if_none_valid: Literal["hold", "fresh"] = "hold"
    """What to do when checkpoints exist but none is valid: `hold` (launch nothing until a human has
    looked), or start `fresh`.

    A fresh start sets the checkpoints aside and begins from nothing."""
    existing: Literal["use", "ignore"] | None = None
    """Checkpoints from before this run's first start: `use` or `ignore` them. If there are any,
    this key must be set.

    Without it `supervisor run` exits with 78."""
    by: Literal["supervisor", "trainer"] = "supervisor"
    """Who chooses the checkpoint: `supervisor`, or `trainer` if the trainer finds it by itself."""

    @field_validator("args")
    @classmethod
    def _placeholders_are_known(cls, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse a placeholder that stands for nothing. Raises ValueError."""
        for argument in arguments:
            for name in unknown_placeholders(argument):
                meant = nearest(name, PLACEHOLDERS)
                known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
                suffix = f" (did you mean {{{meant}}}?)" if meant else ""
                raise ValueError(
                    f"{{{name}}} is not a placeholder; the placeholders are {known}{suffix}"
                )
        return arguments

    @field_validator("fresh_args")
    @classmethod
    def _nothing_to_fill_in(cls, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """A fresh start has no checkpoint to name. Raises ValueError."""
        for argument in arguments:
            for name in PLACEHOLDERS:
                if f"{{{name}}}" in argument:
                    raise ValueError(
                        f"{{{name}}} has no value in fresh_args, since a fresh start has no"
                        " checkpoint"
                    )
        return arguments


class FinishConfig(Section):
    """What shows that the run is finished, in place of exit code 0. Give at most one key."""

    step: Count | None = None
    """Finished if there is a checkpoint of this step when an attempt ends.

    The checkpoint has to be valid. A later step counts as well. So does the last step that the
    trainer made, if the trainer exited with 0."""
    file: Annotated[str, Field(min_length=1)] | None = None
    """Finished if this file is there when an attempt ends."""

    @field_validator("file")
    @classmethod
    def _at_most_one(cls, file: str | None, info: ValidationInfo) -> str | None:
        """Two meanings of finished would contradict each other. Raises ValueError."""
        if file is not None and info.data.get("step") is not None:
            raise ValueError("give either finish.step or finish.file, not both")
        return file


class WatchConfig(Section):
    """How a trainer shows life. After `supervisor.worker.attach()` it sends heartbeats.

    `auto` learns the trainer's pace. A trainer that does not attach shows life by what it prints.
    """

    heartbeat_timeout: AutoDuration = "auto"
    """How long without a step until a trainer is looked at.

    It is ended if nothing moves. A loop without adapter is looked at after so long without a sign
    of life (docs/restart-policy.md). `auto` learns from the steps seen; until a step was seen
    it is 30 min. Of signs of life it is 10 × the longest gap, and 15 min at least."""
    startup_timeout: AutoDuration = "auto"
    """How long without a first step until a trainer is looked at.

    `auto` is off until a first step was seen, then 5 × the longest start."""
    eval_timeout: AutoDuration = "auto"
    """How long in `run.phase("eval")` until the trainer is looked at.

    `auto` learns from the evaluations seen."""
    save_timeout: AutoDuration = "auto"
    """How long in `run.phase("save")` until the trainer is looked at.

    `auto` learns from the saves seen."""
    compile_timeout: AutoDuration = "auto"
    """How long in `run.phase("compile")` until the trainer is looked at.

    `auto` learns from the compilations seen."""
    log_silence: Duration = 1800.0
    """A trainer that is not attached and prints nothing for so long is reported as silent."""
    on_silence: Literal["notify", "restart"] = "notify"
    """On silence: `notify` takes stacks and reports the silence; `restart` also restarts the
    trainer, if nothing moves.

    The stacks are kept as an incident. "Nothing moves" means: CPU, GPU and I/O counters stood still
    for half of `log_silence`, and stacks and counters stay the same during the looks."""
    progress: str | None = None
    r"""A regular expression with a group named `step`, to read the step from the log.

    For example `'step (?P<step>\d+)'`. Groups named `loss`, `total` (the number of steps) and
    `epoch` are read as well, and shown by `status`. No other group may have a name. The expression
    may take 0.1 s at each look at the log. An expression that is too slow again and again is
    switched off, which is reported once. Without it, `status` shows what the usual progress bars
    print, but nothing is decided by that."""

    @field_validator("progress")
    @classmethod
    def _names_the_step(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        """The pattern must compile and have the group `step`. Raises ValueError."""
        if info.context == KEPT:
            return with_step_group(pattern, r"step (?P<step>\d+)")
        return with_progress_groups(pattern, r"step (?P<step>\d+)")


class DiagnosisConfig(Section):
    """How the log is read after a failed attempt."""

    rules: Annotated[str, Field(min_length=1)] | None = None
    """A YAML file of your own rules: what a line of the log means, and what to do then.

    They are tried before the built-in ones; docs/restart-policy.md has an example. `supervisor
    check` tries them. Each daemon reads the file as it starts, so `supervisor reload` reads it
    anew. A rule that is too slow is switched off, which is said once."""


class RestartConfig(Section):
    """When and how often a failed attempt is started again."""

    backoff: Duration = 10.0
    """First wait after a failure without progress; it doubles each time."""
    backoff_max: Duration = 300.0
    """The longest wait after a failure without progress."""
    max_failures: Count = 5
    """Hold after so many failures in a row without a newer valid checkpoint."""
    max_per_day: Count = 50
    """Hold after so many failures in 24 hours, whatever their progress."""
    exit_codes: ExitCodes = Field(default_factory=dict)
    """What an exit code of the command leads to, whatever the log says: `restart`, `backoff`,
    `rollback`, `hold`, or `free`, a restart that is charged to no budget.

    For example `{3: hold, 42: free}`. Codes are 1 to 255. 128 + N is death by signal N as well, so
    that 137 is SIGKILL. 0, 75 and 78 keep their meaning. Details: docs/restart-policy.md."""

    @field_validator("backoff_max")
    @classmethod
    def _not_below_backoff(cls, seconds: float, info: ValidationInfo) -> float:
        """A limit below the first wait is a mistake. Raises ValueError."""
        if seconds < info.data.get("backoff", 0.0):
            raise ValueError(
                f"backoff ({info.data['backoff']:g}s) is longer than backoff_max ({seconds:g}s)"
            )
        return seconds


class LoggingConfig(Section):
    """Where the trainer's output is shown, besides train.log."""

    tee: bool | None = None
    """Show `train.log` where `supervisor run` prints, too. Default: under SLURM and systemd.

    Under SLURM it is then in the job's log, under systemd in the journal. `true` shows it
    everywhere, `false` nowhere. Control sequences are taken out. Output that a stalled reader does
    not take is left out, and counted.
    """


class LaunchConfig(Section):
    """While an attempt trains, the next attempt's interpreter is parked, its imports done."""

    mode: Literal["auto", "warm", "cold"] = "auto"
    """`auto` uses a parked interpreter if it can; `warm` also reports if it cannot; `cold` uses
    none.

    `warm` waits a minute at least for the imports. With `cold` every launch is a new process."""
    preload: Literal["auto"] | tuple[str, ...] = "auto"
    """Modules to import ahead: a list, or `auto` for those that the last attempt had imported.

    With `auto` these are the modules that it had imported by the end of its first step."""
    standby: Literal["cuda"] | None = None
    """`cuda`: the parked interpreter also holds a CUDA context, and with it some GPU memory."""

    @field_validator("preload", mode="before")
    @classmethod
    def _a_list_or_auto(cls, value: object) -> object:
        """One message instead of one for each way to read the value. Raises ValueError."""
        if value == "auto" or (
            isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)
        ):
            return value
        raise ValueError("expected auto or a list of module names")
