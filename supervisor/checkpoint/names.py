"""What a checkpoint's name says: trainers number theirs by step or by epoch. It reads no file."""

import re
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


# First match wins. `epoch` groups count finished epochs where the pattern is marked so.
_FINISHED_EPOCHS = "finished"
_PATTERNS: tuple[tuple[re.Pattern[str], str | None], ...] = tuple(
    (re.compile(pattern, re.ASCII), kind)
    for pattern, kind in (
        (r"checkpoint-epoch-(?P<finished>\d+)", "epoch"),  # the resume guide
        (r"checkpoint-(?P<step>\d+)", "periodic"),  # the guide, HF, accelerate, diffusers
        (r"(?:.*-)?epoch=(?P<epoch>\d+)-step=(?P<step>\d+)(?:-v\d+)?\.ckpt", "periodic"),
        (r"hpc_ckpt_\d+\.ckpt", "emergency"),  # Lightning under SLURM
        (r"last(?:-v\d+)?\.ckpt", None),  # Lightning
        (r"global_step(?P<step>\d+)", "periodic"),  # DeepSpeed
        (r"iter_(?P<step>\d+)", "periodic"),  # Megatron
        (r".+-step(?P<step>\d{8})-state", "periodic"),  # kohya
        (r".+-(?P<finished>\d{6})-state", "epoch"),  # kohya
        (r".+-state", "final"),  # kohya
        (r"(?:ckpt|checkpoint|last|latest)\.(?:pt|pth|ckpt|safetensors)", None),  # nanoGPT …
        (
            r"(?:.*[-_.])?(?:steps?|iter)[-_=]?(?P<step>\d+)\.(?:pt|pth|ckpt|safetensors)",
            "periodic",
        ),
        (r"(?:.*[-_.])?epochs?[-_=]?(?P<epoch>\d+)\.(?:pt|pth|ckpt|safetensors)", "epoch"),
        (r"(?:ckpt|checkpoint)[-_]?(?P<step>\d+)\.(?:pt|pth|ckpt|safetensors)", "periodic"),
    )
)


def parse_name(name: str) -> CheckpointName | None:
    """What a checkpoint's name says; None for a name that no trainer gives to a checkpoint."""
    for pattern, kind in _PATTERNS:
        match = pattern.fullmatch(name)
        if match is None:
            continue
        groups = match.groupdict()
        # 4300 digits is where int() raises; 18 are beyond any step.
        if any(value is not None and len(value) > 18 for value in groups.values()):
            return None
        step = groups.get("step")
        epoch = groups.get("epoch")
        finished = groups.get(_FINISHED_EPOCHS)
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
