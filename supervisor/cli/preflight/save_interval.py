"""Whether the command seems to be one that `checkpoints: {interval: auto}` has an effect on."""

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from supervisor.cli.preflight.expected_trainer import expected_trainer
from supervisor.cli.preflight.finding import Finding, Level
from supervisor.config.model import RunConfig
from supervisor.core.rules.recovery import interval_key
from supervisor.core.wording import rough_time

_MOST_BYTES = 256 << 10
_CHECKPOINTER = re.compile(
    rb"^\s*(?:from\s+supervisor\.torch\s+import|import\s+supervisor\.torch)\b", re.MULTILINE
)
_NO_EFFECT = "`checkpoints.interval: auto` has no effect on"
_ONLY = "only a Checkpointer of supervisor.torch follows it"


def findings(config: RunConfig) -> Iterator[Finding]:
    """Nothing where the key is not set."""
    if config.checkpoints.interval is None:
        return
    bounds = config.checkpoints.interval_min, config.checkpoints.interval_max
    between = f"between {rough_time(bounds[0])} and {rough_time(bounds[1])}"
    if _is_reference_trainer(config) or _uses_checkpointer(config):
        yield Finding("interval", Level.OK, f"the trainer saves as often as loses least, {between}")
        return
    tool = expected_trainer(config)
    if tool is not None:
        key = interval_key(tool.library) or "its own option, such as `save_steps: {}`"
        text = f"{_NO_EFFECT} {tool.name}: {_ONLY}"
        yield Finding("interval", Level.WARN, text, f"set {key.format('N')} in its place")
        return
    yield Finding(
        "interval", Level.WARN,
        f"`checkpoints.interval: auto`: {_ONLY}, and the command shows none",
        "if the trainer has none, set how often it saves in its own options; the run will tell",
    )  # fmt: skip


def _is_reference_trainer(config: RunConfig) -> bool:
    words = config.command
    is_script = any(os.path.basename(word) == "run_train.sh" for word in words)  # noqa: PTH119
    return is_script or ("-m", "train") in pairwise(words)


def _uses_checkpointer(config: RunConfig) -> bool:
    """Whether a script that the command names imports supervisor.torch."""
    for word in config.command:
        if not word.endswith(".py"):
            continue
        try:
            with (Path(config.cwd or ".") / word).open("rb") as file:
                if _CHECKPOINTER.search(file.read(_MOST_BYTES)):
                    return True
        except OSError:
            continue
    return False
