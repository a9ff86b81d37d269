"""The machine that an attempt runs on, as its kernel tells it."""

from __future__ import annotations

import os
import re

PROC = "/proc"
# "NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 …", or with "Open Kernel Module for …".
_DRIVER = re.compile(rb"Kernel Module[^\n]*?\s(\d+\.\d+(?:\.\d+)*)\s")


def driver_version(proc: str = PROC) -> str | None:
    """The version of NVIDIA's driver that is loaded; None where none is."""
    try:
        with open(f"{proc}/driver/nvidia/version", "rb") as file:
            found = _DRIVER.search(file.read(4096))
    except OSError:
        return None
    return None if found is None else found[1].decode()


def node_and_kernel() -> tuple[str, str]:
    """The machine's name, and the release of its kernel."""
    facts = os.uname()
    return facts.nodename, facts.release
