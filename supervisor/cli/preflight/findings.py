"""The questions of `supervisor check`, each answered by one finding. It leaves nothing changed."""

import os
import shutil
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.cli.metrics_directory import is_directory
from supervisor.cli.preflight import lock_probe, shared_memory, system_calls
from supervisor.cli.preflight.devices import visible_devices
from supervisor.cli.preflight.finding import Finding, Level
from supervisor.cli.preflight.other_supervisor import beside_the_trainer
from supervisor.cli.preflight.program import program, working_directory
from supervisor.cli.record import read_record
from supervisor.cli.show.formatting import size_text
from supervisor.cli.start.existing import existing_checkpoints
from supervisor.config.durations import format_duration
from supervisor.config.model import RunConfig
from supervisor.config.places import unexpanded
from supervisor.standby.command import Cold
from supervisor.standby.shebang import resolve
from supervisor.system.mounts import filesystem_type, is_network

# Bytes: the reserve, the configuration, status and ledger, and some room for a log.
_LEAST_FREE = 8 << 20


def host_findings(config: RunConfig, run_dir: Path) -> Iterator[Finding]:
    """What the machine and its directories are like."""
    yield installation()
    yield program(config)
    yield from beside_the_trainer(config)
    yield launching(config)
    yield from placeholders(config)
    yield from unexpanded_words(config)
    yield from directories(config, run_dir)
    yield from textfile(config)
    yield locking(run_dir)
    tried = lock_probe.locks(run_dir)
    if tried is not None:
        yield tried
    yield from system_calls.findings()
    yield devices()
    yield shared_memory.heartbeats()


def installation() -> Finding:
    """PyPI has another `supervisor`, the process manager: both install the same package name."""
    try:
        other = metadata.version("supervisor")
    except metadata.PackageNotFoundError:
        return Finding("installation", Level.OK, "no other package is named supervisor")
    return Finding(
        "installation",
        Level.FAIL,
        f"the process manager `supervisor` {other} is installed in the same environment",
        "type `pip uninstall supervisor`, then install train-supervisor again; or use another"
        " environment",
    )


def launching(config: RunConfig) -> Finding:
    """Whether a relaunch finds an interpreter that has done its imports already."""
    if config.launch.mode == "cold":
        return Finding("launch", Level.OK, "each attempt is a new process (launch.mode: cold)")
    here = str(working_directory(config))
    found = resolve(config.command, {**os.environ, **config.env}, here)
    if not isinstance(found, Cold):
        return Finding("launch", Level.OK, "an interpreter is parked for the next attempt")
    level = Level.WARN if config.launch.mode == "warm" else Level.OK
    return Finding("launch", level, f"each attempt is a new process: {found.reason}")


def placeholders(config: RunConfig) -> Iterator[Finding]:
    """Warn of {checkpoint} in `command`: the trainer would be given these very characters."""
    for known in ("checkpoint", "checkpoint_dir"):
        if any(f"{{{known}}}" in word for word in config.command):
            yield Finding(
                "command", Level.WARN, f"{{{known}}} in `command` has no meaning",
                f'write resume: {{args: [--resume, "{{{known}}}"]}}; it is appended when there '
                "is a checkpoint",
            )  # fmt: skip


def unexpanded_words(config: RunConfig) -> Iterator[Finding]:
    """Warn of shell variables: no shell expands them, so a trainer would make `$SCRATCH`."""
    for word in [*config.command[1:], *config.resume.args, *config.resume.fresh_args]:
        if unexpanded(word):
            yield Finding(
                "command", Level.WARN, f"{word} is passed unchanged, since no shell expands it",
                "write the path itself, or let a shell expand it: [bash, -c, 'exec python …']",
            )  # fmt: skip
    for name, value in config.env.items():
        if unexpanded(value):
            yield Finding(
                "env", Level.WARN, f"{name}={value} is set unchanged, since no shell expands it",
                "write the value itself",
            )  # fmt: skip


def textfile(config: RunConfig) -> Iterator[Finding]:
    """Whether the metrics file can be made; a run goes on without it."""
    if (directory := config.metrics.textfile) is None:
        return
    try:
        is_one, is_writable = is_directory(Path(directory))
    except OSError as error:
        text, hint = f"{error}: no metrics will be written", "see whether its file server is there"
        yield Finding("metrics", Level.WARN, text, hint)
        return
    if not is_one:
        yield Finding(
            "metrics", Level.WARN, f"{directory} is not a directory: no metrics will be written",
            "set `metrics.textfile` to the directory that node_exporter reads",
        )  # fmt: skip
    elif not is_writable:
        yield Finding(
            "metrics", Level.WARN, f"{directory} is not writable: no metrics will be written",
            f"have its owner allow it, such as by `setfacl -m u:$USER:rwx {directory}`",
        )  # fmt: skip
    else:
        yield Finding("metrics", Level.OK, directory)


def directories(config: RunConfig, run_dir: Path) -> Iterator[Finding]:
    """Whether the run directory and the checkpoint directory can be made and written to."""
    checkpoints = Path(config.checkpoints.directory or run_dir)
    for what, path in dict.fromkeys([("run_dir", run_dir), ("checkpoints", checkpoints)]):
        if what == "checkpoints" and checkpoints == run_dir:
            continue
        place = path
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            yield Finding(
                what, Level.FAIL, f"{place} is not a directory", "choose another directory"
            )
        elif not os.access(place, os.W_OK | os.X_OK):
            yield Finding(
                what,
                Level.FAIL,
                f"{place} is not writable",
                "choose another directory, or make this one writable (chmod)",
            )
        else:
            maker = "" if what == "run_dir" else " by the trainer"
            made = "" if place == path else f" (will be made{maker})"
            yield Finding(what, Level.OK, f"{path}{made}")


def locking(run_dir: Path) -> Finding:
    """Whether a lock there proves who has the run, and whether files there outlive a reboot."""
    kind = filesystem_type(run_dir) or "unknown"
    if is_network(run_dir):
        return Finding(
            "file system", Level.OK,
            f"{kind}, shared with other machines: only SLURM or `run --break-lock` can break the"
            " lock of a dead machine",
        )  # fmt: skip
    if kind in ("tmpfs", "ramfs", "overlay"):
        lost = "this container" if kind == "overlay" else "this boot"
        text = f"{kind}: checkpoints do not outlive {lost}"
        return Finding("file system", Level.WARN, text, "choose a run_dir on a disk")
    return Finding("file system", Level.OK, kind)


def devices() -> Finding:
    """Which GPUs the trainer may see."""
    seen = visible_devices()
    limit = os.environ.get("CUDA_VISIBLE_DEVICES")
    limited = f"; CUDA_VISIBLE_DEVICES={limit}" if limit is not None else ""
    if seen.problem:
        text = f"{seen.source}: {seen.problem}{limited}"
        return Finding("GPU", Level.FAIL, text, "see `nvidia-smi` and the kernel log (dmesg)")
    if not seen.names:
        return Finding(
            "GPU", Level.WARN, "no GPU to be seen", "fine if the run is to train on the CPU"
        )
    names = ", ".join(f"{seen.names.count(name)} × {name}" for name in dict.fromkeys(seen.names))
    return Finding("GPU", Level.OK, f"{names}{limited} (according to {seen.source})")


def space(on_disk: Sequence[CheckpointEntry], config: RunConfig, directory: Path) -> Finding:
    """Free space against `keep` checkpoints and the one being written, less those that exist.

    `on_disk`: the run's checkpoints on the disk, newest first.
    """
    place = directory
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < _LEAST_FREE:
        text = f"{size_text(free)} free: not even the logs and records fit"
        return Finding("space", Level.FAIL, text, "free some space")
    # Measure by the largest: the newest checkpoint may be incomplete.
    each = max((entry.bytes for entry in on_disk), default=None)
    if each is None:
        return Finding("space", Level.OK, f"{size_text(free)} free; no checkpoint to measure yet")
    keep = config.checkpoints.keep
    kept = f"keep: {keep}" if keep else "keep: null, so the disk will fill up"
    text = f"{size_text(free)} free, a checkpoint is {size_text(each)} ({kept})"
    # The oldest makes room only after the new one is whole, so one more has to fit in any case.
    valid = [entry.bytes for entry in on_disk if entry.valid]
    wanted = (keep or 1) + 1
    needed = max(each, wanted * each - sum(valid[: wanted - 1]))
    if free < (least := each if valid else 2 * each):
        what = "the next checkpoint does" if least == each else "two checkpoints do"
        return Finding("space", Level.FAIL, text, f"free some space: {what} not fit")
    if keep is None or free < needed:
        return Finding("space", Level.WARN, text, "keep fewer checkpoints, or free some space")
    return Finding("space", Level.OK, text)


def grace(config: RunConfig, run_dir: Path) -> Finding:
    """Whether the last save would fit into the grace."""
    took = read_record(run_dir).status.last_save_s
    given = format_duration(config.grace)
    if took is None:
        return Finding("grace", Level.OK, f"{given}; no save was timed yet")
    text = f"{given}; the last save took {format_duration(took)}"
    if took > config.grace:
        return Finding(
            "grace",
            Level.FAIL,
            text,
            "a stop would lose the steps since the last save: raise `grace`",
        )
    if took > config.grace / 2:
        return Finding(
            "grace", Level.WARN, text, "a save hardly fits into the grace: raise `grace`"
        )
    return Finding("grace", Level.OK, text)


def existing(config: RunConfig, directory: Path, attempts: int) -> Finding | None:
    """Whether the configuration decides about checkpoints that were there before the run."""
    found = existing_checkpoints(directory, config.checkpoints.pattern) if attempts == 0 else []
    if not found:
        return None
    text = f"checkpoints from before the run: {len(found)} ({found[0]} …)"
    match config.resume.existing:
        case None:
            do = "write resume: {existing: use} or resume: {existing: ignore}"
            return Finding("existing", Level.FAIL, text, do)
        case choice:
            return Finding("existing", Level.OK, f"{text}: {choice}")
