"""All random-number states that a training step can draw from: seeds, captures, restores them."""

import hashlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def derive_seed(*parts: int | str) -> int:
    """Make a seed in 0..2^63-1 that differs for each combination of parts."""
    digest = hashlib.blake2b(":".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") & (2**63 - 1)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy (if loaded) and torch on every device."""
    seed_host(seed)
    torch.manual_seed(seed)


def seed_host(seed: int) -> None:
    """Seed only the generators of the CPU, which a dataset may draw from."""
    random.seed(seed)
    # NumPy is optional; code that draws from NumPy has loaded it by now
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)


def capture(*, devices: bool = True) -> dict[str, Any]:
    """All states, as tensors and plain values that load with `weights_only=True`.

    Without `devices`, only the CPU's states: reading a GPU's state would wait for the GPU.
    """
    version, words, gauss = random.getstate()
    state: dict[str, Any] = {
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
        "torch": torch.get_rng_state(),
    }
    if (numpy := sys.modules.get("numpy")) is not None:
        _, keys, position, has_gauss, cached = numpy.random.get_state()
        state["numpy"] = {
            "keys": torch.from_numpy(keys.astype("int64")),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached_gaussian": float(cached),
        }
    # asking for the state of a device that is not in use would start CUDA there
    if devices and _has_cuda_started():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if devices and torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore(state: dict[str, Any]) -> list[str]:
    """Put the states back; returns a text for each that cannot be.

    Raises KeyError if one is missing.
    """
    python = state["python"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    torch.set_rng_state(state["torch"])
    left_out: list[str] = []
    numpy = sys.modules.get("numpy")
    if numpy is not None and "numpy" in state:
        saved = state["numpy"]
        keys = saved["keys"].numpy().astype("uint32")
        numpy.random.set_state(
            ("MT19937", keys, saved["position"], saved["has_gauss"], saved["cached_gaussian"])
        )
    elif "numpy" in state:
        left_out.append("NumPy's (it is not installed here)")
    cuda_states: list[torch.Tensor] = state.get("cuda", [])
    here = torch.cuda.device_count() if _has_cuda_started() else 0
    for index, cuda_state in enumerate(cuda_states[:here]):
        torch.cuda.set_rng_state(cuda_state, index)
    if len(cuda_states) > here:
        left_out.append(f"CUDA's (saved from {len(cuda_states)} devices, {here} here)")
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
    return left_out


def _has_cuda_started() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


@contextmanager
def kept(*, devices: bool = True) -> Iterator[None]:
    """Put all states back at the end, so that numbers drawn inside do not change training."""
    state = capture(devices=devices)
    try:
        yield
    finally:
        restore(state)
