"""What a checkpoint's name says: trainers number theirs by step or by epoch. It reads no file."""

import re
from functools import cache
from typing import NamedTuple

# Ours stand in hidden directories: `checkpoint-1000.corrupt` beside the others broke the name
# parsing and the pruning of accelerate and diffusers.
SET_ASIDE = ".set-aside"
STAGING_PREFIX = ".staging-"
MANIFEST = "manifest.json"
TRAINING_STATE = "training_state.json"
INCOMPLETE_MARK = "checkpoint-is-incomplete.txt"

SINGLE_FILE_SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors", ".bin")


class CheckpointName(NamedTuple):
    """What a name says; the epoch is an index from 0, None is what it does not say."""

    step: int | None
    epoch: int | None
    kind: str | None


# First match wins. The first column must be in the name: compiling all patterns would cost more
# than listing a directory. `finished` counts epochs that are done, `epoch` is an index.
_PATTERNS: tuple[tuple[str, str, str | None], ...] = (
    ("checkpoint-epoch-", r"checkpoint-epoch-(?P<finished>\d+)", "epoch"),  # the resume guide
    ("checkpoint-", r"checkpoint-(?P<step>\d+)", "periodic"),  # the guide, HF, accelerate
    (
        "-step=",
        r"(?:.*-)?epoch=(?P<epoch>\d+)-step=(?P<step>\d+)(?:-v\d+)?\.ckpt",
        "periodic",
    ),  # Lightning
    ("hpc_ckpt_", r"hpc_ckpt_\d+\.ckpt", "emergency"),  # Lightning under SLURM
    ("last", r"last(?:-v\d+)?\.ckpt", None),  # Lightning
    ("global_step", r"global_step(?P<step>\d+)", "periodic"),  # DeepSpeed
    ("iter_", r"iter_(?P<step>\d+)", "periodic"),  # Megatron
    ("-state", r".+-step(?P<step>\d{8})-state", "periodic"),  # kohya
    ("-state", r".+-(?P<finished>\d{6})-state", "epoch"),  # kohya
    ("-state", r".+-state", "final"),  # kohya
    (".", r"(?:ckpt|checkpoint|last|latest)\.(?:pt|pth|ckpt|safetensors)", None),  # nanoGPT …
    ("step", r"(?:.*[-_.])?steps?[-_=]?(?P<step>\d+)\.(?:pt|pth|ckpt|safetensors|bin)", "periodic"),
    ("step", r"step[-_]?(?P<step>\d+)", "periodic"),  # accelerate's examples: directories
    ("iter", r"(?:.*[-_.])?iter[-_=]?(?P<step>\d+)\.(?:pt|pth|ckpt|safetensors)", "periodic"),
    ("epoch", r"epoch[-_]?(?P<epoch>\d+)", "epoch"),  # accelerate's examples: directories
    ("epoch", r"(?:.*[-_.])?epochs?[-_=]?(?P<epoch>\d+)\.(?:pt|pth|ckpt|safetensors)", "epoch"),
    ("ckpt", r"ckpt[-_]?(?P<step>\d+)\.(?:pt|pth|ckpt|safetensors)", "periodic"),
    ("checkpoint", r"checkpoint[-_]?(?P<step>\d+)\.(?:pt|pth|ckpt|safetensors)", "periodic"),
)


def is_safe_name(name: str) -> bool:
    """Whether a file's name stays inside its directory: relative, and no `..` in it."""
    return (
        bool(name)
        and "\0" not in name
        and all(part not in ("", ".", "..") for part in name.split("/"))
    )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def parse_name(name: str, pattern: str | None = None) -> CheckpointName | None:
    """What a checkpoint's name says; None for a name that no trainer gives to a checkpoint.

    `pattern`: the user's own regular expression for whole names, with a group `step`; names that
    it does not match are read as those of known trainers all the same.
    """
    if pattern is not None and (match := _compiled(pattern).fullmatch(name)) is not None:
        digits = match.group("step")
        if digits is not None and digits.isdecimal() and len(digits) <= 18:
            return CheckpointName(int(digits), None, "periodic")
    for part, known, kind in _PATTERNS:
        match = _compiled(known).fullmatch(name) if part in name else None
        if match is None:
            continue
        groups = match.groupdict()
        # 4300 digits is where int() raises; 18 are beyond any step.
        if any(value is not None and len(value) > 18 for value in groups.values()):
            return None
        step = groups.get("step")
        epoch = groups.get("epoch")
        finished = groups.get("finished")
        index = int(epoch) if epoch else max(int(finished) - 1, 0) if finished else None
        return CheckpointName(int(step) if step else None, index, kind)
    return None


def parse_step(name: str) -> tuple[str, int] | None:
    """`("step", N)` for `checkpoint-N` and its like, `("epoch", E)` where only the epoch is named.

    E is the epoch's index from 0: `checkpoint-epoch-118` holds epoch 117. None where the name
    says neither.
    """
    parsed = parse_name(name)
    if parsed is None:
        return None
    if parsed.step is not None:
        return "step", parsed.step
    return ("epoch", parsed.epoch) if parsed.epoch is not None else None
