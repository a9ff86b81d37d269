"""Which environment variables matter to a training, and what of them may be kept: no secret."""

from __future__ import annotations

import os
import re
import zlib

from supervisor.worker.adapters import STARTUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

MASK = "***"
_LONGEST = 200
_SHOWN = ("CUDA_", "NCCL_", "OMP_", "TORCH_", "PYTORCH_")
_SHOWN_NAMES = frozenset({"SLURM_JOB_NODELIST"})
# Their names are told, never their values. All other variables change from shell to shell.
_HIDDEN = (
    *("PYTHON", "LD_", "HF_", "TRANSFORMERS_", "WANDB_", "MKL_", "OPENBLAS_", "GLOO_", "UCX_"),
    *("FI_", "XLA_", "JAX_", "TF_", "TRITON_", "NVIDIA_", "ACCELERATE_", "DEEPSPEED_"),
)
_HIDDEN_NAMES = frozenset({"PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "HOME", "LANG"})
# Other values for each run or attempt, from us.
_OURS = frozenset({"WANDB_RUN_ID", "WANDB_RESUME", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"})
_SECRET = re.compile(
    r"key|token(?!s|iz)|secret|passw|pwd|credential|auth|cookie|session|signature|dsn|webhook",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_ASSIGNMENT = re.compile(r"([^=\s]*)=(.*)", re.DOTALL)


def chosen(
    environ: Mapping[str, str], configured: Collection[str] = ()
) -> tuple[dict[str, str], dict[str, int | None]]:
    """The variables that may be shown, and a check of each other one that matters.

    `configured`: names from the configuration's `env`; they matter, whatever they are called. The
    check has 16 bits: enough to see a change, too few to tell a value. A name that
    sounds secret has none.
    """
    shown: dict[str, str] = {}
    hidden: dict[str, int | None] = {}
    for name, value in environ.items():
        if name in _OURS or name.startswith("SUPERVISOR_"):
            continue
        if name == "PYTHONPATH":
            entries = [entry for entry in value.split(os.pathsep) if entry != STARTUP]
            if not (value := os.pathsep.join(entries)):
                continue  # our own folder alone
        is_secret = _SECRET.search(name) is not None
        if not is_secret and (name.startswith(_SHOWN) or name in _SHOWN_NAMES):
            shown[name] = masked_text(value)[:_LONGEST]
        elif name.startswith((*_SHOWN, *_HIDDEN)) or name in _HIDDEN_NAMES or name in configured:
            data = value.encode("utf-8", "surrogateescape")
            hidden[name] = None if is_secret else zlib.crc32(data) & 0xFFFF
    return shown, hidden


def masked_text(text: str) -> str:
    """The text without user and password of an address."""
    return _IN_URL.sub(MASK, text)


def masked(command: Sequence[str]) -> tuple[str, ...]:
    """The words of a command line, the values of options that sound secret left out."""
    words, is_value = [], False
    for word in command:
        if is_value and not word.startswith("-"):
            words.append(MASK)
            is_value = False
            continue
        found = _ASSIGNMENT.fullmatch(word)
        name = word if found is None else found[1]
        is_secret = _SECRET.search(name) is not None
        is_value = found is None and is_secret and word.startswith("-")
        if found is not None and is_secret:
            words.append(f"{name}={MASK}")
        elif is_secret and any(letter.isspace() for letter in word):
            words.append(MASK)  # a shell's line: which of its words is secret is not known
        else:
            words.append(masked_text(word))
    return tuple(words)
