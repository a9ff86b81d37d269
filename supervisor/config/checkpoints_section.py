"""The section of a configuration that says where the trainer saves, how often, and what stays."""

from typing import Literal

from pydantic import ValidationInfo, field_validator

from supervisor.config.sections import Section
from supervisor.config.values import Count, Duration, with_step_group
from supervisor.core.rules.save_interval import LEAST_S, LONGEST_S


class CheckpointsConfig(Section):
    """Where the trainer saves, and how many of its checkpoints stay."""

    directory: str | None = None
    """Where the trainer saves its checkpoints. Default: `run_dir`.

    The trainer makes it; the supervisor does not. Without this key the supervisor also looks into
    the directory that the trainer names (docs/checkpoints.md)."""
    keep: Count | None = 5
    """Keep this many of the newest checkpoints; `null` keeps all. Pinned checkpoints (`supervisor
    checkpoints pin PATH`) always stay. Checkpoints without our manifest are removed only if this
    key is written.

    The newest valid checkpoint always stays, too. `supervisor init` comments this key out."""
    pattern: str | None = None
    r"""For names that docs/checkpoints.md does not list: a regular expression for the whole name of
    a checkpoint, with a group named `step`.

    For example `'weights-(?P<step>\d+)\.bin'`; any ending will do. If the group matches nothing
    (`'state\.bin(?P<step>)'`), the step is unknown. If matching a name takes longer than 0.05 s,
    the name does not match."""

    interval: Literal["auto"] | None = None
    """`auto`: a trainer with a `Checkpointer` of supervisor.torch, such as the reference trainer,
    saves as often as loses the least time. Without this key the trainer's own options count.

    The interval follows from what a save costs and from how often the run fails
    (docs/checkpoints.md). The key has no effect on other trainers, which `supervisor check` and the
    run say."""
    interval_min: Duration = LEAST_S
    """The shortest interval of `interval: auto`. The first save comes after so long."""
    interval_max: Duration = LONGEST_S
    """The longest interval of `interval: auto`."""

    @field_validator("interval", mode="before")
    @classmethod
    def _auto_or_nothing(cls, value: object) -> object:
        """Steps between saves are the trainer's to know. Raises ValueError."""
        if value in (None, "auto"):
            return value
        raise ValueError(
            "expected auto; a fixed number of steps is set in the trainer (`save_steps`), and"
            " bounds in interval_min and interval_max"
        )

    @field_validator("interval_max")
    @classmethod
    def _not_below_the_shortest(cls, seconds: float, info: ValidationInfo) -> float:
        """A limit below the other is a mistake. Raises ValueError."""
        if seconds < info.data.get("interval_min", 0.0):
            least_s = info.data["interval_min"]
            raise ValueError(
                f"interval_min ({least_s:g}s) is longer than interval_max ({seconds:g}s)"
            )
        return seconds

    @field_validator("pattern")
    @classmethod
    def _names_the_step(cls, pattern: str | None) -> str | None:
        """The pattern must compile and have the group `step`. Raises ValueError."""
        return with_step_group(pattern, r"weights-(?P<step>\d+)\.bin")

    @property
    def left_out(self) -> set[str]:
        """Keys that are not kept for the daemon: one of before would have to ignore them."""
        names = ("interval", "interval_min", "interval_max")
        defaults = type(self).model_fields
        found = {name for name in names if getattr(self, name) == defaults[name].default}
        return found if self.keep_set else {"keep", *found}

    @property
    def keep_set(self) -> bool:
        """Whether the user wrote `keep`: only then foreign checkpoints may be pruned."""
        return "keep" in self.model_fields_set
