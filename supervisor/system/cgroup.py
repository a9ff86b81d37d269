"""A cgroup v2 of its own for each attempt, where that part of the tree was given to us.

A process of the attempt cannot leave it by a double fork, setsid or another environment. Where the
tree is not ours nothing here writes: marks and the subreaper then do without it (process_tree.py
and termination.py of the launcher).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# systemd's mark on what Delegate= gives away (systemd.io/CGROUP_DELEGATION); `user.` since 251.
DELEGATION_MARKS = ("user.delegate", "trusted.delegate")
# A user manager leaves no mark, so our unit for it sets this variable. It counts for the unit's
# main process alone.
UNIT_SAYS = "SUPERVISOR_CGROUP"
OWN_GROUP = "supervisor"
# For memory.events, which counts those processes of the attempt that were killed for memory.
CONTROLLER = "memory"
_PROCS = "cgroup.procs"


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""  # missing, or not for us to read: the callers take it for empty


def _write(path: str, text: str) -> bool:
    try:
        # Never O_CREAT: a path that is no cgroup must not become a file.
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, text.encode())
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(fd)


def _membership() -> str | None:
    for line in _read("/proc/self/cgroup").splitlines():
        if line.startswith("0::"):
            return line[3:]
    return None


def _mounts() -> Iterator[tuple[str, str]]:
    for line in _read("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        if right.startswith("cgroup2 ") and len(fields) > 4:
            yield fields[3], fields[4].encode().decode("unicode_escape")


def own_folder() -> str | None:
    """Return the directory of this process's cgroup v2, None where it cannot be seen."""
    place = _membership()
    if place is None:
        return None
    for root, mount in _mounts():
        prefix = root.rstrip("/")
        if place == root or place.startswith(prefix + "/"):
            folder = (mount.rstrip("/") + place[len(prefix) :]).rstrip("/")
            # Namespaces can make both files disagree: only the kernel's own list proves the place.
            if str(os.getpid()) in _read(f"{folder}/{_PROCS}").split():
                return folder
    return None


def is_delegated(folder: str) -> bool:
    """Tell whether a cgroup was given to us to divide, rather than only being writable for root."""
    procs = f"{folder}/{_PROCS}"
    if not (os.access(folder, os.W_OK) and os.access(procs, os.W_OK)):
        return False
    for mark in DELEGATION_MARKS:
        try:
            if os.getxattr(folder, mark) == b"1":
                return True
        except OSError:
            continue  # no such mark, or not for us to read
    is_main = os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())
    if is_main and os.environ.get(UNIT_SAYS) == "delegated":
        return True
    if _membership() == "/":
        # The root of a container's own namespace; the machine's root has no type.
        return os.path.exists(f"{folder}/cgroup.type")
    try:
        owner = os.stat(procs).st_uid
        above = os.stat(f"{os.path.dirname(folder)}/{_PROCS}").st_uid
    except OSError:
        return False
    # Chowned to us here and not above: so an older systemd, or an administrator, gives it away.
    return owner == os.getuid() and owner != 0 and above != owner


def settle() -> str | None:
    """Return the cgroup below which attempts get their own, None where there is none for us.

    Where there is a memory controller, this process moves into a leaf first. A cgroup with
    processes may not give controllers to others (cgroup-v2.rst, No Internal Process Constraint).
    """
    folder = own_folder()
    if folder is None or not is_delegated(folder):
        return None
    if CONTROLLER not in _read(f"{folder}/cgroup.controllers").split():
        return folder
    if _read(f"{folder}/{_PROCS}").split() != [str(os.getpid())]:
        return folder
    leaf = f"{folder}/{OWN_GROUP}"
    try:
        os.makedirs(leaf, exist_ok=True)
    except OSError:
        return folder
    if enter(leaf):
        _write(f"{folder}/cgroup.subtree_control", f"+{CONTROLLER}")
    return folder


def enter(folder: str, pid: int = 0) -> bool:
    """Move a process (0: this one) into a cgroup with all its threads; False if that cannot be.

    Marks and the subreaper still hold such a process, and the daemon is told so.
    """
    return _write(f"{folder}/{_PROCS}", str(pid))


class Group:
    """The cgroup of one attempt, or those of all attempts of a run. Without any it is empty."""

    def __init__(self, *folders: str) -> None:
        self._folders = folders

    @classmethod
    def make(cls, base: str | None, run_id: str, attempt: int) -> Group:
        """Make the cgroup of an attempt; an empty group where that is not possible."""
        if base is None:
            return cls()
        folder = f"{base}/attempt-{run_id}-{attempt}"
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError:
            return cls()  # cgroup.max.descendants, or a delegation that was taken back
        return cls(folder)

    def replaced(self, base: str | None, run_id: str, attempt: int) -> Group:
        """Remove these, of attempts whose launcher died, and make that of the next attempt."""
        self.remove()
        return self.make(base, run_id, attempt)

    @classmethod
    def everything_of(cls, base: str | None, run_id: str) -> Group:
        """Find the cgroups that attempts of this or of a dead launcher have left."""
        try:
            names = [] if base is None else os.listdir(base)
        except OSError:
            names = []
        return cls(*(f"{base}/{name}" for name in names if name.startswith(f"attempt-{run_id}-")))

    @property
    def folder(self) -> str | None:
        """Return the directory of the attempt's cgroup, None where it has none."""
        return self._folders[0] if self._folders else None

    def _all(self) -> Iterator[str]:
        # The trainer may have made cgroups inside its own. The innermost must be removed first.
        for folder in self._folders:
            for path, _, _ in os.walk(folder, topdown=False):
                yield path

    def pids(self) -> list[int]:
        """Return the processes in it and below. The kernel leaves zombies out."""
        return [
            int(word)
            for path in self._all()
            for word in _read(f"{path}/{_PROCS}").split()
            if word != "0"  # of another pid namespace
        ]

    def is_populated(self) -> bool:
        """Tell whether a process lives in it or below."""
        return any("populated 1" in _read(f"{path}/cgroup.events") for path in self._folders)

    def kill(self) -> None:
        """SIGKILL all of it at once, forks in flight included (Linux 5.14); else do nothing."""
        for path in self._folders:
            _write(f"{path}/cgroup.kill", "1")

    def oom_kills(self) -> int | None:
        """Return how many of its processes the kernel killed for memory, None if it is not told."""
        counts = [
            int(value)
            for path in self._folders
            for key, _, value in (
                line.partition(" ") for line in _read(f"{path}/memory.events").splitlines()
            )
            if key == "oom_kill"
        ]
        return sum(counts) if counts else None

    def remove(self) -> None:
        """Remove it. A cgroup that still has a process stays, and is found before a launch."""
        for path in list(self._all()):
            try:
                os.rmdir(path)
            except OSError:
                continue  # EBUSY, or gone with its parent
