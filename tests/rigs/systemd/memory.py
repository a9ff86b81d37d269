"""A memory limit that the kernel enforces: by the unit's own cgroup, or by one of cgroup v1."""

import os
from pathlib import Path

LIMIT_BYTES = 256 << 20


class MemoryLimit:
    """A limit of the whole unit, if the machine's cgroup2 has the memory controller.

    A host that has the controller under cgroup v1 withholds it from cgroup2. Then only the trainer
    is put into a limited v1 group. systemd does not learn of its kills, so that OOMPolicy= is only
    read back.
    """

    def __init__(self, machine_cgroup: str) -> None:
        self._v1 = _v1_folder()
        self.settings = ""
        self._folder: Path | None = None
        if self._v1 is None:
            self.settings = f"MemoryMax={LIMIT_BYTES}\nMemorySwapMax=0"
        else:
            self._folder = self._v1 / f"rig-{os.getpid()}"
            self._folder.mkdir()
            (self._folder / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
        self._machine_cgroup = machine_cgroup

    def take(self, pid: int) -> None:
        """Limit a process (its pid outside) if the unit's own settings do not."""
        if self._folder is not None:
            (self._folder / "cgroup.procs").write_text(str(pid))

    def kills(self) -> int:
        """How often the kernel has killed a process for this limit."""
        if self._folder is not None:
            return _count(self._folder / "memory.oom_control")
        found = Path("/sys/fs/cgroup", self._machine_cgroup).rglob("supervisor@*/memory.events")
        return sum(_count(path) for path in found)

    def close(self) -> None:
        """Remove the group; its remaining processes go back to the parent group."""
        if self._folder is not None:
            for pid in (self._folder / "cgroup.procs").read_text().split():
                (self._folder.parent / "cgroup.procs").write_text(pid)
            self._folder.rmdir()


def _count(path: Path) -> int:
    lines = dict(line.split() for line in path.read_text().splitlines())
    return int(lines["oom_kill"])


def _v1_folder() -> Path | None:
    """This process's group of the memory controller of cgroup v1; None under cgroup2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory", path.lstrip("/"))
    return None
