"""Which runs of this user are live: one link a run, believed only if the run's lock is held.

It is a convenience for `supervisor status` without a target; nothing may depend on it. Anyone may
write to /dev/shm, so a stranger may have made a directory of this name. Such a register is neither
written to nor read.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from supervisor.cli.record import RunRecord, read_record
from supervisor.system.private_directory import is_believable, shared_name

REGISTRY = "runs"


def registry_directories() -> tuple[Path, ...]:
    """Where links may be: the user's runtime directory, else a private one on tmpfs."""
    places = []
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        places.append(Path(runtime) / "train-supervisor" / REGISTRY)
    # A shell of `su` or cron has no XDG_RUNTIME_DIR: both places are always read.
    places.append(Path("/dev/shm") / shared_name() / REGISTRY)
    return tuple(places)


def register(run_dir: Path) -> None:
    """Leave a link to a run that is about to start. A failure is ignored: nothing is lost."""
    import hashlib  # `status` need not pay for it

    name = hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:16]
    for directory in registry_directories():
        try:
            directory.parent.mkdir(mode=0o700, exist_ok=True)
            directory.mkdir(mode=0o700, exist_ok=True)
            if not is_believable(directory.parent, directory):
                continue
            stage = directory / f".{name}.{os.getpid()}"
            stage.symlink_to(run_dir)
            stage.rename(directory / name)
        except OSError:
            continue
        return


def live_runs() -> list[RunRecord]:
    """Live runs of this user on this machine; links of dead ones are removed."""
    return [record for record in _registered() if record.live]


def registered_directories() -> list[Path]:
    """All registered run directories, dead runs included; it changes nothing."""
    found: dict[Path, None] = {}
    for directory in registry_directories():
        if is_believable(directory.parent, directory):
            for link in sorted(directory.iterdir()):
                if link.is_symlink() and not link.name.startswith("."):
                    found[link.readlink()] = None
    return list(found)


def _registered() -> Iterable[RunRecord]:
    """Each registered run once; the links of dead runs are removed."""
    seen: set[Path] = set()
    for directory in registry_directories():
        if not is_believable(directory.parent, directory):
            continue
        for link in sorted(directory.iterdir()):
            try:
                run_dir = link.readlink()
            except OSError:
                continue
            if run_dir in seen or link.name.startswith("."):
                continue
            seen.add(run_dir)
            record = read_record(run_dir)
            if not record.live:
                link.unlink(missing_ok=True)
            yield record
