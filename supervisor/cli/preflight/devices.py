"""Which GPUs can be seen, without starting CUDA: that would take memory on each of them."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_QUERY = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]


@dataclass(frozen=True, slots=True)
class Devices:
    """GPU names with their memory, and the source that named them.

    `problem`: why they cannot be used.
    """

    names: tuple[str, ...]
    source: str
    problem: str | None = None


def visible_devices() -> Devices:
    """Ask NVML, else nvidia-smi, else look at the device files. Never raises."""
    return _from_nvml() or _from_command() or _from_files()


def _from_nvml() -> Devices | None:
    """What NVIDIA's management library says; None where it is not installed."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if not _device_files():
            return Devices((), "NVML")
        return Devices((), "NVML", f"the driver does not answer: {error}")
    try:
        names = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            name = pynvml.nvmlDeviceGetName(handle)
            size = pynvml.nvmlDeviceGetMemoryInfo(handle).total / 2**30
            text = name.decode() if isinstance(name, bytes) else str(name)
            names.append(f"{text} ({size:.0f} GiB)")
        return Devices(tuple(names), "NVML")
    except pynvml.NVMLError as error:
        return Devices((), "NVML", f"a device does not answer: {error}")
    finally:
        pynvml.nvmlShutdown()


def _from_command() -> Devices | None:
    """What nvidia-smi says; None where there is none."""
    try:
        answer = subprocess.run(_QUERY, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return None
    except (OSError, subprocess.TimeoutExpired) as error:
        return Devices((), "nvidia-smi", f"does not answer ({type(error).__name__})")
    if answer.returncode != 0:
        said = (answer.stdout + answer.stderr).strip().splitlines()
        return Devices((), "nvidia-smi", said[0] if said else f"exit {answer.returncode}")
    names = []
    for line in answer.stdout.splitlines():
        name, _, size_mib = line.rpartition(",")
        mib = size_mib.strip()
        names.append(f"{name} ({int(mib) / 1024:.0f} GiB)" if mib.isdigit() else line.strip())
    return Devices(tuple(names), "nvidia-smi")


def _from_files() -> Devices:
    """The device files alone."""
    files = _device_files()
    unusable = [path.name for path in files if not os.access(path, os.R_OK | os.W_OK)]
    problem = f"no permission for {', '.join(unusable)}" if unusable else None
    return Devices(tuple(path.name for path in files), "/dev", problem)


def _device_files() -> list[Path]:
    """`/dev/nvidia0` and so on."""
    return sorted(path for path in Path("/dev").glob("nvidia[0-9]*"))
