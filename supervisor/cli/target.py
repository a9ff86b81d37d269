"""Which run a command means: a run directory, a configuration, or the only one there is."""

import os
from pathlib import Path

import click

from supervisor.cli.record_access import refuse_unreadable
from supervisor.cli.registry import live_runs
from supervisor.cli.show.advice import shown_path
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.rundir.paths import RunPaths

target_argument = click.argument("target", required=False, metavar="[TARGET]")


def find_run(target: str | None) -> Path:
    """The run directory that is meant, absolute. Raises SupervisorError naming the candidates."""
    if target is None:
        return _only_run()
    path = Path(target).expanduser()
    named = Path("runs") / target
    # `python -m train` makes runs/train, beside the package `train/`.
    if "/" not in target and is_run(named) and not _is_meant(path):
        return _readable(named)
    try:
        if path.is_dir():
            return _of_directory(path)
        if path.is_file():
            return _of_config(path)
    except PermissionError:
        raise SupervisorError(
            f"{path}: not readable for you",
            hint="ask the owner of this path",
            code=ExitCode.CONFIGURATION,
        ) from None
    raise SupervisorError(
        f"{target}: there is no such run directory or configuration",
        hint="name a run directory (one with a .supervisor/ in it) or the configuration of a run",
        code=ExitCode.USAGE,
    )


def is_run(directory: Path) -> bool:
    """Whether a directory is a run's, as far as that can be seen."""
    return os.path.isdir(RunPaths(directory).state_dir)  # noqa: PTH112 -- is_dir raises (EACCES)


def _is_meant(path: Path) -> bool:
    """Whether a path is a run directory or a file, so that no run of this name is looked for."""
    return path.is_file() or path.name == ".supervisor" or is_run(path)


def _readable(run_dir: Path) -> Path:
    """The directory, absolute. Raises SupervisorError where the record cannot be read."""
    refuse_unreadable(RunPaths(run_dir))
    return run_dir.absolute()


def _of_directory(path: Path) -> Path:
    """A run directory; its `.supervisor` stands for it. Raises SupervisorError."""
    if path.name == ".supervisor":
        path = path.parent
    refuse_unreadable(RunPaths(path))
    if is_run(path):
        return path.absolute()
    inside = runs_below(path)
    raise SupervisorError(
        f"{path}: not a run directory (it has no .supervisor/)",
        hint=("perhaps one of these:\n" + _listed(inside)) if inside else None,
        code=ExitCode.USAGE,
    )


def _of_config(path: Path) -> Path:
    """The run directory of a configuration. Raises SupervisorError."""
    from supervisor.config.run_directory import run_directory

    run_dir = run_directory(path, Path.cwd())
    if run_dir is not None and is_run(run_dir):
        return _readable(run_dir)
    # Loading the configuration takes longer than all the rest of `status`, so it comes last. It
    # says what is wrong with the file.
    from supervisor.config.load import load_config

    run_dir = Path(load_config(path).config.resolved(Path.cwd()).run_dir or "")
    refuse_unreadable(RunPaths(run_dir))
    if not is_run(run_dir):
        raise SupervisorError(
            f"{path}: its run was never started ({run_dir} has no .supervisor/)",
            hint=f"`supervisor run {shown_path(path)}` starts it; relative paths begin here",
            code=ExitCode.USAGE,
        )
    return run_dir


def _only_run() -> Path:
    """The only run here, else this user's only live one. Raises SupervisorError with a list."""
    here = runs_below(Path())
    if len(here) == 1:
        return _readable(here[0])
    live = [record.paths.run_dir for record in live_runs()]
    if len(live) == 1:
        return live[0]
    if not here and not live:
        raise SupervisorError(
            "there is no run in this directory, and you have no live run",
            hint="name a run directory or a configuration; `supervisor init` begins a new run",
            code=ExitCode.USAGE,
        )
    several = _distinct([*here, *live])
    raise SupervisorError(
        "there is more than one run to choose from",
        hint="name one of them:\n" + _listed(several),
        code=ExitCode.USAGE,
    )


def runs_below(directory: Path) -> list[Path]:
    """Run directories here, one level down (`outputs`), and in `runs/`; absolute, sorted."""
    if is_run(directory):
        return [directory.absolute()]
    found: list[Path] = []
    for base in (directory, directory / "runs"):
        try:
            children = list(base.iterdir())
        except OSError:
            continue
        found += [child.absolute() for child in children if is_run(child)]
    # Sort directories before links, so that `_distinct` keeps the directory itself.
    return sorted(_distinct(sorted(found, key=lambda path: path.is_symlink())))


def _distinct(runs: list[Path]) -> list[Path]:
    """Each run once, under its first path: two links may lead to the same run."""
    return list({path.resolve(): path for path in reversed(runs)}.values())[::-1]


def _listed(paths: list[Path]) -> str:
    """Run directories for a message, relative where that is shorter."""
    return "\n".join(f"  {shown_path(path)}" for path in paths)
