"""What a hook is told: as a JSON object on its standard input, and as environment variables."""

import json
from collections.abc import Mapping

from supervisor.hooks.occasions import Fact

PREFIX = "SUPERVISOR_HOOK_"
# One variable may have 128 KiB, and the kernel limits all of them together (execve(2)).
_TEXT_MAX = 4096
FACTS: dict[str, str] = {
    "event": "the hook's name",
    "run": "the run's name",
    "run_id": "the run's id",
    "run_dir": "the run directory",
    "checkpoint_dir": "where the supervisor looks for checkpoints",
    "attempt": "the attempt that ended; for `before_launch` the one to be launched, for"
    " `checkpoint_proven` the last one that was started",
    "step": "the step of the checkpoint, or the last one that the attempt was seen at",
    "checkpoint": "for `checkpoint_proven`: the path of the checkpoint",
    "proof": "how it was found valid: `hashes`, `structure`, `files`",
    "newest_checkpoint": "the path of the newest checkpoint that was found valid and is there",
    "newest_step": "its step",
    "exit_code": "the attempt's exit code",
    "signal": "the number of the signal that ended the attempt",
    "failure": "a failure name",
    "action": "what is done about it",
    "reason": "a sentence",
    "stop": "who asked the attempt to stop",
    "saved": "whether the stop saved",
    "state": "`held`, `stuck` or `completed`",
    "from_nothing": "for `before_launch`: `run --from-nothing` was given; the variable is `1`",
    "unmounted": "for `before_launch`: the mount point that held the checkpoints, if it is bare",
}
"""Each fact, and what it says. What does not apply, or is not known, is null."""


def as_json(given: Mapping[str, Fact]) -> bytes:
    """All facts as a JSON object in one line."""
    told = {name: given.get(name) for name in FACTS}
    return json.dumps(told).encode() + b"\n"


def as_variables(given: Mapping[str, Fact]) -> dict[str, str]:
    """All facts as environment variables; empty for what does not apply, or is not known."""
    told = {PREFIX + name.upper(): _text(given.get(name)) for name in FACTS}
    # A script tests this one: `false` would be no empty word.
    return {**told, PREFIX + "FROM_NOTHING": "1" if given.get("from_nothing") else ""}


def _text(fact: Fact) -> str:
    match fact:
        case None:
            return ""
        case bool():
            return "true" if fact else "false"
        case _:
            return str(fact).replace("\0", "")[:_TEXT_MAX]
