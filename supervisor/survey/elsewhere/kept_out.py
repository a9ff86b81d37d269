"""What a search for saves is kept out of: the system, caches, and what another run owns.

The only files that it reads are owner marks.
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
# Marks of a virtual environment, a conda environment and a cache (bford.info/cachedir).
SKIPPED_IF_IT_HOLDS = frozenset({"pyvenv.cfg", "conda-meta", "CACHEDIR.TAG"})
_STATE = ".supervisor"


def is_skipped_name(name: str) -> bool:
    """Whether a directory of this name is a cache or a log of tools, wherever it lies."""
    return name in _SKIPPED_NAMES or name.startswith(_SKIPPED_STARTS)


def status_of(path: Path | str) -> os.stat_result | None:
    """The result of lstat; None if it fails."""
    try:
        return os.lstat(path)
    except (OSError, ValueError):
        return None  # it is gone meanwhile, or the path is no valid name


def real_path(path: Path) -> Path:
    """The path with all links resolved; the path itself if they cannot be."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return path


def is_never_entered(path: Path) -> bool:
    """Whether a search never reads the directory, even if an argument names it.

    Such are a system directory like /usr itself, and /proc and /sys with all below them.
    """
    return path in _SYSTEM or any(path.is_relative_to(kept_out) for kept_out in _KERNEL)


class KeptOut:
    """What one search passes over. It does not change during the search."""

    def __init__(self, request: SearchRequest) -> None:
        self._run_id = request.run_id
        self._run_dir = real_path(request.run_dir)
        self._caches = frozenset(map(real_path, request.caches))
        self._works_in = frozenset(map(real_path, request.working_directories))
        self._above = {above for path in self._works_in for above in (path, *path.parents)}
        self._wide = _WIDE | {real_path(Path(os.environ.get("HOME") or "/root"))}

    def is_wide(self, path: Path) -> bool:
        """Whether it is a home, or a directory that all users share: full of other files."""
        return path in self._wide or path.parent == Path("/home")

    def is_cache(self, path: Path) -> bool:
        """Whether libraries and tools keep what they download or log there."""
        return (
            is_skipped_name(path.name) or str(path).endswith(_SKIPPED_TAILS) or path in self._caches
        )

    def is_in_anothers(self, path: Path) -> bool:
        """Whether another run owns the directory or one above it.

        The working directories of the trainer, and all above them, are not asked about.
        """
        while path not in self._above and path != path.parent:
            is_run = path != self._run_dir and status_of(path / _STATE) is not None
            if is_run or self._is_anothers(owner_mark.read(owner_mark.beside(path))):
                return True
            path = path.parent
        return False

    def owned_in(
        self, path: Path, inode: int, files: Sequence[str], folders: Sequence[str]
    ) -> tuple[frozenset[str], bool]:
        """Which directories in `path` belong to another run, and whether `path` itself does.

        A trainer may work in the run directory of another run. That alone does not give the
        directory to the other run.
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
            # A mark lies inside the directory if the parent cannot be written.
            elif name == inside or (found and found.mark and found.mark.inode == inode):
                is_anothers = True
        return frozenset(owned), is_anothers

    def _is_anothers(self, found: owner_mark.MarkFile | None) -> bool:
        """Whether a mark was found that does not name this run. A damaged mark names no run."""
        return found is not None and (found.mark is None or found.mark.run_id != self._run_id)
