"""What a checkpoint's name says: trainers number theirs by step or by epoch. It reads no file."""

import re
from collections.abc import Container
from functools import cache
from typing import NamedTuple

from supervisor.checkpoint.by_products import is_by_product
from supervisor.checkpoint.name_pattern import step_text
from supervisor.checkpoint.suffixes import SINGLE_FILE_SUFFIXES

# Ours stand in hidden directories: `checkpoint-1000.corrupt` beside the others broke the name
# parsing and the pruning of accelerate and diffusers.
SET_ASIDE = ".set-aside"
STAGING_PREFIX = ".staging-"
MANIFEST = "manifest.json"
TRAINING_STATE = "training_state.json"
INCOMPLETE_MARK = "checkpoint-is-incomplete.txt"

# Of the names below; `.zip` and `.tar` alone would be anybody's.
_KNOWN_FILE_SUFFIXES = (*SINGLE_FILE_SUFFIXES, ".pth.tar", ".zip")
# orbax names its directories by the bare step; the second stands there on object stores.
ORBAX_MARKS = ("_CHECKPOINT_METADATA", "commit_success.txt")


class CheckpointName(NamedTuple):
    """What a name says; the epoch is an index from 0, None is what it does not say."""

    step: int | None
    epoch: int | None
    kind: str | None


_Patterns = tuple[tuple[str, str, str | None], ...]
# First match wins. The first column must be in the name: compiling all patterns would cost more
# than listing a directory. `finished` counts epochs that are done, `epoch` is an index.
_LIGHTNING: _Patterns = (
    (
        "epoch=",
        r"(?:.*[-_])?epoch=(?P<epoch>\d+)[-_](?:.*[-_])?step=(?P<step>\d+)(?:[-_].*)?\.ckpt",
        "periodic",
    ),
    # NeMo: NAME--val_loss=2.34-step=1000-consumed_samples=8000.0-last.ckpt
    ("step=", r"(?:.*[-_])?step=(?P<step>\d+)(?:[-_].*)?\.ckpt", "periodic"),
    ("epoch=", r"(?:.*[-_])?epoch=(?P<epoch>\d+)(?:[-_].*)?\.ckpt", "epoch"),
    (
        "-consumed_samples=",
        r".*[-_]step=(?P<step>\d+)-consumed_samples=\d+(?:\.\d+)?(?:-last)?",
        "periodic",
    ),  # NeMo 2: directories
)
_KOHYA: _Patterns = (
    ("-state", r".+-step(?P<step>\d{8})-state", "periodic"),
    ("-state", r".+-(?P<finished>\d{6})-state", "epoch"),
    ("-state", r".+-state", "final"),
)
_OTHERS: _Patterns = (
    ("checkpoint-epoch-", r"checkpoint-epoch-(?P<finished>\d+)", "epoch"),  # the resume guide
    ("checkpoint-", r"checkpoint-(?P<step>\d+)", "periodic"),  # the guide, HF, accelerate
    ("hpc_ckpt_", r"hpc_ckpt_\d+\.ckpt", "emergency"),  # Lightning under SLURM
    ("last", r"last(?:-v\d+)?\.ckpt", None),  # Lightning
    ("global_step", r"global_step(?P<step>\d+)", "periodic"),  # DeepSpeed
    ("iter_", r"iter_(?P<step>\d+)", "periodic"),  # Megatron
    (".", r"(?:ckpt|checkpoint|last|latest)\.(?:pt|pth|ckpt|safetensors)", None),  # nanoGPT …
    ("checkpoint_", r"checkpoint_(?P<epoch>\d+)_(?P<step>\d+)\.pt", "periodic"),  # fairseq
    ("checkpoint_", r"checkpoint_(?:last|latest|final)\.(?:pt|pth|ckpt)", None),  # and nnU-Net
    ("model_", r"model_(?P<step>\d{7,9})\.pth", "periodic"),  # detectron2
    # Not "final": that would end the run, and other tools write a file of this name, too.
    ("model_final", r"model_final\.pth", None),  # detectron2
    ("-ba", r"ep(?P<epoch>\d+)-ba(?P<step>\d+)(?:-rank0\.pt)?", "periodic"),  # composer
    (".pth.tar", r"(?:checkpoint|last|latest)\.pth\.tar", None),  # timm, PyTorch's ImageNet
    (".pth.tar", r"checkpoint[-_](?P<epoch>\d+)\.pth\.tar", "epoch"),  # timm, MoCo
    (".pth.tar", r"recovery-(?P<epoch>\d+)-\d+\.pth\.tar", "periodic"),  # timm
    ("step", r"step[-_]?(?P<step>\d+)", "periodic"),  # accelerate's examples, torchtitan
    ("epoch", r"epoch[-_]?(?P<epoch>\d+)", "epoch"),  # accelerate's examples: directories
    ("ckpt", r"ckpt[-_]?(?P<step>\d+)\.(?:pt|pth|ckpt|safetensors)", "periodic"),
    ("checkpoint", r"checkpoint[-_]?(?P<step>\d+)\.(?:pt|pth|ckpt|safetensors)", "periodic"),
    ("checkpoint_", r"checkpoint_(?P<step>\d+)", "periodic"),  # Ray: directories
)
# Anything may stand before the number, also what is no model.
_FREE: _Patterns = (
    ("_steps.zip", r".+_(?P<step>\d+)_steps\.zip", "periodic"),  # stable-baselines3
    ("step", r"(?:.*[-_.])?steps?[-_=]?(?P<step>\d+)\.(?:pt|pth|ckpt|safetensors|bin)", "periodic"),
    ("iter", r"(?:.*[-_.])?iter[-_=]?(?P<step>\d+)\.(?:pt|pth|ckpt|safetensors)", "periodic"),
    ("epoch", r"(?:.*[-_.])?epochs?[-_=]?(?P<epoch>\d+)\.(?:pt|pth|ckpt|safetensors)", "epoch"),
)
# Evaluations name their directories so, too; `iter_` with Megatron's seven digits is its own.
_SHARED_NAMES = r"(?:step|epoch)[-_]?\d+|iter_\d{1,6}|.+-state"
# `best` as a word: `model_best`, `best-3`, `modelBest`, `BEST.pt`; not `bestiary`.
_BEST = r"(?<![A-Za-z])[Bb]est(?![a-z])|(?<=[a-z])Best(?![a-z])|(?<![A-Za-z])BEST(?![A-Za-z])"


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
    own = None if pattern is None else parse_by_pattern(name, pattern)
    if own is not None:
        return own
    found = _first(_LIGHTNING, name) or _first(_KOHYA, name)
    # mmengine's `best_coco_bbox_mAP_epoch_12.pth` and its like have no optimizer.
    if found is not None or is_best_name(name):
        return found
    found = _first(_OTHERS, name)
    return found if found is not None or is_by_product(name) else _first(_FREE, name)


def is_shared_name(name: str) -> bool:
    """Whether a directory's name is one that evaluations give to theirs, too: `epoch_3`."""
    return _compiled(_SHARED_NAMES).fullmatch(name) is not None


def parse_by_pattern(name: str, pattern: str) -> CheckpointName | None:
    """What the user's pattern reads in a name; None where it matches none.

    Its group `step` may match nothing, for a checkpoint whose step its name does not say.
    """
    digits = step_text(name, pattern)
    if digits is None:
        return None
    if not digits:
        return CheckpointName(None, None, None)
    is_step = digits.isdecimal() and len(digits) <= 18
    return CheckpointName(int(digits), None, "periodic") if is_step else None


def parse_marked(name: str, files: Container[str]) -> CheckpointName | None:
    """What the name of a directory says that only the files in it tell for a checkpoint: orbax's.

    `files`: names relative to the directory.
    """
    if not _is_number(name) or not any(mark in files for mark in ORBAX_MARKS):
        return None
    return CheckpointName(int(name), None, "periodic")


def may_be_checkpoint(name: str, pattern: str | None = None) -> bool:
    """Whether a name is one that a checkpoint has, as far as a name can tell."""
    return _is_number(name) or parse_name(name, pattern) is not None


def has_file_suffix(name: str) -> bool:
    """Whether a known trainer's single file ends so; a file of a directory's name is none."""
    return name.endswith(_KNOWN_FILE_SUFFIXES)


def is_checkpoint_name(name: str, pattern: str | None, *, is_directory: bool) -> bool:
    """Whether the name alone makes a checkpoint of what it stands for."""
    if pattern is not None and parse_by_pattern(name, pattern) is not None:
        return True
    return parse_name(name) is not None and (is_directory or has_file_suffix(name))


def is_best_name(name: str) -> bool:
    """Whether a tool, or the user, calls it the best: it is never pruned.

    kohya's names begin with whatever the user called the model.
    """
    if "best" not in name.lower() or _first(_KOHYA, name) is not None:
        return False
    return _compiled(_BEST).search(name) is not None


def series(name: str) -> str:
    """What the names of one trainer's checkpoints have in common: `checkpoint-#`."""
    return _compiled(r"\d+").sub("#", name)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= 18


def _first(patterns: _Patterns, name: str) -> CheckpointName | None:
    for part, known, kind in patterns:
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
