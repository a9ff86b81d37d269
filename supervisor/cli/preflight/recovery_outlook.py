"""What a kill would cost, as far as that is known before a launch; for `check` and `init`."""

from collections.abc import Iterator

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.cli.preflight.expected_trainer import (
    ExpectedTrainer,
    expected_trainer,
    options_of,
)
from supervisor.cli.preflight.finding import Finding, Level
from supervisor.config.model import RunConfig
from supervisor.core.history import History
from supervisor.core.rules.recovery import Recovery, StopWay, recovery_sentences
from supervisor.system.python_flags import ignores_startup

# The default of transformers' `save_steps`, with the default `save_strategy: steps`.
_SAVE_STEPS = 500
_YES = frozenset({"", "true", "True", "1", "yes"})


def findings(
    config: RunConfig, history: History, newest: CheckpointEntry | None
) -> Iterator[Finding]:
    """What was told of the last attempt; before the first one, what the command shows."""
    if history.recovery:
        text = f"{'. '.join(history.recovery)} (as seen in attempts before)"
        yield Finding("recovery", Level.OK, text)
        return
    sentences = outlook(config, has_saved=newest is not None)
    if sentences:
        yield Finding("recovery", Level.OK, ". ".join(sentences))


def outlook(config: RunConfig, *, has_saved: bool = False) -> tuple[str, ...]:
    """The sentences; none where the command shows nothing of its saves."""
    tool = expected_trainer(config)
    options = options_of(config.command)
    steps, place = _save_steps(tool, options), options.get("output_dir") or None
    if tool is None and steps is None:
        return ()
    lost: tuple[str, ...] = ()
    if options.get("save_only_model") in _YES and tool is not None:
        lost = ("save_only_model: the optimizer, from all but the checkpoint of a stop",)
    is_adapted = tool is not None and tool.is_adapted and _reaches(config, tool)
    return recovery_sentences(
        Recovery(
            trainer=None if tool is None else tool.name,
            place=place,
            save_steps=steps,
            has_saved=has_saved,
            not_restored=lost,
            is_order_known=is_adapted,
            stop=StopWay.SAVES if is_adapted else None,
        )
    )


def _reaches(config: RunConfig, tool: ExpectedTrainer) -> bool:
    """Whether the tool's adapter is wanted, and Python lets it in."""
    wanted = config.integrate
    is_wanted = wanted == "auto" or (isinstance(wanted, (list, tuple)) and tool.library in wanted)
    return is_wanted and ignores_startup(config.command) is None


def _save_steps(tool: ExpectedTrainer | None, options: dict[str, str]) -> int | None:
    library = None if tool is None else tool.library
    if library == "huggingface" or "save_steps" in options:
        if options.get("save_strategy", "steps") == "no":
            return 0
        if options.get("save_strategy", "steps") != "steps":
            return None
        given = _number(options.get("save_steps"))
        is_default = "save_steps" not in options and tool is not None and tool.takes_arguments
        return _SAVE_STEPS if is_default else given
    return _number(options.get("checkpointing_steps"))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
