"""What a search for saves is kept out of: the system, caches, and what another run owns.

Of files it reads owner marks alone.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from supervisor.checkpoint import owner_mark
from supervisor.survey.elsewhere.records import SearchRequest

_WIDE = frozenset(
    map(Path, ("/", "/home", "/root", "/tmp", "/mnt", "/media", "/opt", "/srv", "/scratch"))
)
_SYSTEM = frozenset(
    Path("/", name)
    for name in (
        *("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "snap"),
        *("sys", "usr", "var"),
    )
)
_KERNEL = (Path("/proc"), Path("/sys"))
_SKIPPED_NAMES = frozenset(
    (
        *("__pycache__", "node_modules", "site-packages", "dist-packages", "lost+found"),
        *("wandb", "mlruns", "mlartifacts", "tensorboard", "triton_cache"),
    )
)
_SKIPPED_STARTS = ("models--", "datasets--", "spaces--", "torchinductor_", "triton_")
_SKIPPED_TAILS = ("/huggingface/hub", "/huggingface/datasets", "/torch/hub", "/tmp/triton")
# Of a virtual environment, of conda's, and the tag of a cache (bford.info/cachedir).
SKIPPED_IF_IT_HOLDS = frozenset({"pyvenv.cfg", "conda-meta", "CACHEDIR.TAG"})
_STATE = ".supervisor"


def status_of(path: Path | str) -> os.stat_result | None:
    """What lstat says; None where that is nothing."""
    try:
        return os.lstat(path)
    except (OSError, ValueError):
        return None  # gone meanwhile, or no name at all


def real_path(path: Path) -> Path:
    """Where a path leads, all links followed; itself where it leads nowhere."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return path


def is_never_entered(path: Path) -> bool:
    """Whether nothing of a training is there, also where an argument names it."""
    return path in _SYSTEM or any(path.is_relative_to(kept_out) for kept_out in _KERNEL)


class KeptOut:
    """What one search passes over; it remembers nothing."""

    def __init__(self, request: SearchRequest) -> None:
        self._run_id = request.run_id
        self._run_dir = real_path(request.run_dir)
        self._caches = frozenset(map(real_path, request.caches))
        self._works_in = frozenset(map(real_path, request.working_directories))
        self._above = {above for path in self._works_in for above in (path, *path.parents)}
        self._wide = _WIDE | {real_path(Path(os.environ.get("HOME") or "/root"))}

    def is_wide(self, path: Path) -> bool:
        """Whether all that a user, or everybody, ever did lies there."""
        return path in self._wide or path.parent == Path("/home")

    def is_cache(self, path: Path) -> bool:
        """Whether libraries and tools keep what they download or log there."""
        return (
            path.name in _SKIPPED_NAMES
            or path.name.startswith(_SKIPPED_STARTS)
            or str(path).endswith(_SKIPPED_TAILS)
            or path in self._caches
        )

    def is_in_anothers(self, path: Path) -> bool:
        """Whether another run owns a place, or what is above it up to where the trainer works."""
        while path not in self._above and path != path.parent:
            is_run = path != self._run_dir and status_of(path / _STATE) is not None
            if is_run or self._is_anothers(owner_mark.read(owner_mark.beside(path))):
                return True
            path = path.parent
        return False

    def owned_in(
        self, path: Path, inode: int, files: Sequence[str], folders: Sequence[str]
    ) -> tuple[frozenset[str], bool]:
        """Which of a directory's own directories are another run's, and whether it is itself.

        A trainer may work in the run directory of another run: that alone makes nothing another's.
        """
        owned = set()
        is_anothers = _STATE in folders and path != self._run_dir and path not in self._works_in
        inside = owner_mark.inside(path).name
        known = set(folders)
        for name in files:
            if not name.endswith(owner_mark.SUFFIX) or not name.startswith("."):
                continue
            found = owner_mark.read(path / name)
            if not self._is_anothers(found):
                continue
            marked = name[1 : -len(owner_mark.SUFFIX)]
            if marked in known:
                owned.add(marked)
            # The mark is inside where the parent of a directory cannot be written.
            elif name == inside or (found and found.mark and found.mark.inode == inode):
                is_anothers = True
        return frozenset(owned), is_anothers

    def _is_anothers(self, found: owner_mark.MarkFile | None) -> bool:
        """Whether a mark is there and does not name this run; one that cannot be read does not."""
        return found is not None and (found.mark is None or found.mark.run_id != self._run_id)
