"""The section of a configuration that names commands to run when something happens to a run."""

import shlex
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, WithJsonSchema, field_validator

from supervisor.config.durations import DURATION_PATTERN
from supervisor.config.sections import Section
from supervisor.config.values import Duration, Word
from supervisor.config.yaml_word import yaml_word

HookName = Literal["before_launch", "attempt_ended", "checkpoint_proven", "held", "finished"]
HOOKS: tuple[HookName, ...] = (
    "before_launch", "attempt_ended", "checkpoint_proven", "held", "finished",
)  # fmt: skip
# How long each may take, if the configuration says nothing: two of them may move checkpoints.
DEADLINES_S: dict[HookName, float] = {
    "before_launch": 600.0,
    "attempt_ended": 60.0,
    "checkpoint_proven": 1800.0,
    "held": 60.0,
    "finished": 60.0,
}
LEAST_S, MOST_S = 1.0, 86_400.0
_WORDS = {"type": "array", "minItems": 1, "items": {"type": ["string", "number"]}}
_SECONDS = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": DURATION_PATTERN}]}
_FORMS: dict[str, Any] = {
    "anyOf": [
        _WORDS,
        {
            "type": "object",
            "properties": {"command": _WORDS, "timeout": _SECONDS},
            "required": ["command"],
            "additionalProperties": False,
        },
        {"type": "null"},
    ]
}


class HookCommand(Section):
    """One hook: its command, and how long that may take."""

    command: tuple[Word, ...]
    timeout: Duration | None = None

    @field_validator("timeout")
    @classmethod
    def _within_bounds(cls, seconds: float | None) -> float | None:
        """A child that never ends would hold the next one up. Raises ValueError."""
        if seconds is not None and not LEAST_S <= seconds <= MOST_S:
            raise ValueError("must be 1s to 24h")
        return seconds


def _as_mapping(given: object) -> object:
    """A hook in its long form, `{command, timeout}`. Raises ValueError."""
    if given is None or isinstance(given, HookCommand):
        return given
    is_mapping = isinstance(given, dict)
    mapping = cast("dict[object, object]", given) if is_mapping else {"command": given}
    words = mapping.get("command")
    if isinstance(words, str):
        try:
            split = shlex.split(words)
        except ValueError:
            split = words.split()
        listed = ", ".join(yaml_word(word) for word in split)
        raise ValueError(f"must be a list, each word an item: [{listed}]")
    if not isinstance(words, (list, tuple)):
        raise ValueError("must be a list of words, or a mapping with `command` and `timeout`")
    if not words or words[0] == "":
        raise ValueError("must begin with a program")
    return mapping


Hook = Annotated[HookCommand | None, BeforeValidator(_as_mapping), WithJsonSchema(_FORMS)]


class HooksConfig(Section):
    """Commands that are run when something happens to the run, each a list of words.

    `{command: [...], timeout: 5m}` gives one another deadline. docs/hooks.md has examples.
    """

    before_launch: Hook = None
    """Before each launch. An exit code other than 0 refuses it: it is asked again after 10 s, then
    20 s, up to 10 min.

    It may bring a checkpoint to an empty disk: the checkpoints are read after it. Deadline: 10 min,
    which refuses as well."""
    attempt_ended: Hook = None
    """When an attempt has ended, however it did.

    The next launch does not wait for it. Deadline: 1 min."""
    checkpoint_proven: Hook = None
    """When a new checkpoint of the run was read and found valid.

    If several become valid while it runs, it is run for the newest of them. Deadline: 30 min."""
    held: Hook = None
    """When the run is held or stuck, so that a person has to look.

    Deadline: 1 min."""
    finished: Hook = None
    """When the run is finished.

    Deadline: 1 min."""

    @property
    def given(self) -> dict[HookName, HookCommand]:
        """The hooks that are configured."""
        found: dict[HookName, HookCommand] = {}
        for name in HOOKS:
            hook = getattr(self, name)
            if hook is not None:
                found[name] = hook
        return found


def deadline_s(name: HookName, hook: HookCommand) -> float:
    """How long a hook may take, in seconds."""
    return DEADLINES_S[name] if hook.timeout is None else hook.timeout
