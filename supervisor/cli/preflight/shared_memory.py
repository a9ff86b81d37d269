"""What the preflight says of /dev/shm, where heartbeats and snapshots live. It changes nothing."""

import os
from collections.abc import Iterable
from pathlib import Path

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.cli.preflight.finding import Finding, Level
from supervisor.cli.preflight.logind import removes_shared_memory
from supervisor.cli.show.formatting import size_text
from supervisor.memory.slots import SLOTS
from supervisor.memory.space import room, used_bytes
from supervisor.rundir.runtime_directory import SHARED_MEMORY
from supervisor.system.mounts import filesystem_type


def heartbeats() -> Finding:
    """Whether heartbeat pages and snapshots find a tmpfs that survives a logout."""
    if filesystem_type(SHARED_MEMORY) != "tmpfs" or not os.access(SHARED_MEMORY, os.W_OK):
        return Finding(
            "heartbeats", Level.WARN,
            f"no writable tmpfs at {SHARED_MEMORY}; heartbeat pages will be files on the disk",
            "in a container, set --shm-size or mount a tmpfs there",
        )  # fmt: skip
    if removes_shared_memory(os.getuid()):
        return Finding(
            "heartbeats", Level.WARN,
            f"systemd-logind empties {SHARED_MEMORY} when you log out (RemoveIPC): a run makes "
            "its files there again, but loses its snapshots",
            f"type `loginctl enable-linger {os.getuid()}`, or set RemoveIPC=no in logind.conf",
        )  # fmt: skip
    return Finding("heartbeats", Level.OK, f"{SHARED_MEMORY} (tmpfs)")


def snapshots(entries: Iterable[CheckpointEntry], root: Path | None) -> Finding:
    """Whether two snapshots of the size of the largest checkpoint fit into memory.

    `root`: the run's snapshot directory; what its slots take is not needed again. The finding is a
    warning at worst, since a snapshot that does not fit is saved straight to the disk.
    """
    ours = [entry.bytes for entry in entries if entry.ours]
    if not ours:
        found = room(SHARED_MEMORY, 0)
        free = size_text(found.tmpfs_free)
        text = f"{free} free in {SHARED_MEMORY}; no checkpoint of supervisor.torch to measure yet"
        return Finding("snapshots", Level.OK, text)
    need = SLOTS * max(ours)
    had = used_bytes(root) if root is not None else 0
    found = room(SHARED_MEMORY, max(need - had, 0))
    if not found.fits:
        return Finding(
            "snapshots", Level.WARN,
            f"two snapshots of {size_text(max(ours))} do not fit into memory: {found.why}. Each"
            " save goes straight to the disk, and a kill loses the steps since the last save",
            "make /dev/shm (in a container: --shm-size) or the memory limit larger, or type "
            "`supervisor clean`",
        )  # fmt: skip
    return Finding(
        "snapshots", Level.OK, f"two snapshots of {size_text(max(ours))} fit into memory"
    )
