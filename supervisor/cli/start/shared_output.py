"""Whether a new command would save where another run does, as far as words and records tell.

A trainer that names its directory has begun there when the supervisor learns of it. So the runs
beside the new one are asked before the launch.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from supervisor.cli.record import read_history
from supervisor.cli.start.arguments import Argument, differing
from supervisor.cli.start.command_name import command_name
from supervisor.cli.start.typed_line import TypedLine
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.recorded_saves import RecordedSaves, merged
from supervisor.rundir.save_writers import runs_beside
from supervisor.system.small_file import read_small_file

_OUTPUT = re.compile(r"out|save|ckpt|checkpoint|log|work|result|dest|root|dir", re.IGNORECASE)
_INPUT = re.compile(r"resume|from|load|init|pretrained|model|data|cache|input", re.IGNORECASE)
# An option like these may decide where a trainer saves, and so may a file of settings.
_MAY_NAME = re.compile(r"path|folder|run|exp|name|id$|tag|suffix|prefix|conf", re.IGNORECASE)
_SETTINGS = (".yaml", ".yml", ".json", ".toml", ".py", ".cfg", ".ini")
# Lightning's `version_0`, and a directory for each day or time: the next run has another one.
_NEW_EACH_TIME = re.compile(r"version_\d+|\d{4}[-_]?\d\d[-_]?\d\d")


@dataclass(frozen=True, slots=True)
class SharedOutput:
    """The directory, and the run that saves there."""

    directory: Path
    name: str
    run_dir: Path

    @property
    def sentence(self) -> str:
        """For an error."""
        return f"it would save into {self.directory}, as the run {self.name!r} ({self.run_dir})"

    @property
    def advice(self) -> str:
        """What to do."""
        other = f"{self.directory.name}-2"
        return (
            "give it another output directory by the trainer's own option, such as `--output_dir"
            f" {other}`"
        )


@dataclass(frozen=True, slots=True)
class RunBeside:
    """A run whose directory lies beside that of the new one."""

    paths: RunPaths
    name: str
    command: tuple[str, ...]
    cwd: str | None
    places: tuple[Path, ...]
    """The directories outside its run directory into which it saves, as far as it is known."""


def refuse_shared_output(run_dir: Path, line: TypedLine) -> None:
    """Refuse a new run that would save over another's checkpoints. Raises SupervisorError (78)."""
    found = shared_output(run_dir, line.command)
    if found is None:
        return
    over = replace(line, head=(*line.head, "--take-over"))
    raise SupervisorError(
        f"{run_dir.name}: {found.sentence} does; nothing was started",
        hint=f"{found.advice};\nif it saves elsewhere, or may have that directory:\n"
        f"  {over.to_type}",
        code=ExitCode.CONFIGURATION,
    )


def shared_output(run_dir: Path, command: Sequence[str]) -> SharedOutput | None:
    """The run beside `run_dir` into whose directory this command would save; None if none is known.

    Where it depends on what only the trainer knows, the answer is None: the run warns then.
    """
    for other in runs_beside_of(run_dir):
        for place in other.places:
            if _holds_something(place) and _saves_into(place, other, command):
                return SharedOutput(place, other.name, other.paths.run_dir)
    return None


def runs_beside_of(run_dir: Path) -> Iterator[RunBeside]:
    """The runs beside `run_dir` whose records can be read here."""
    for other in runs_beside(run_dir.absolute()):
        paths = RunPaths(other)
        try:
            config: dict[str, Any] = json.loads(read_small_file(paths.config))
            theirs, name = tuple(map(str, config["command"])), str(config["name"])
            yield RunBeside(paths, name, theirs, config.get("cwd"), tuple(_places(paths, config)))
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SupervisorError):
            continue  # the start of the run will tell


def _places(paths: RunPaths, config: dict[str, Any]) -> Iterator[Path]:
    """The directories outside its run directory into which a run saves."""
    configured = config["checkpoints"].get("directory")
    found = [] if configured is None else [Path(configured)]
    history = read_history(paths)[0]
    saved = RecordedSaves(paths.trainings, paths.run_dir).look()
    found += [paths.run_dir / one.path for one in merged(history.places, saved)]
    home = os.path.realpath(paths.run_dir)
    for place in dict.fromkeys(found):
        if not Path(os.path.realpath(place)).is_relative_to(home):
            yield place


def _saves_into(place: Path, other: RunBeside, command: Sequence[str]) -> bool:
    if any(_is_output(one) and _names(one, place) for one in _arguments(command)):
        return True
    if command_name(command) != command_name(other.command) or len(other.places) > 1:
        return False
    if _NEW_EACH_TIME.search(str(place)):
        return False
    differs = _differing(other, command)
    return bool(differs) and not any(_may_decide(one, place) for one in differs)


def may_save_alike(other: RunBeside, command: Sequence[str]) -> bool:
    """Whether both may save into one directory, as far as words tell before it is named."""
    if command_name(command) != command_name(other.command):
        return False
    differs = _differing(other, command)
    return bool(differs) and not any(_is_likely_to_decide(one) for one in differs)


def _differing(other: RunBeside, command: Sequence[str]) -> tuple[Argument, ...]:
    """The words in which both differ. Without one it lies in the environment."""
    gone, new = differing(other.command, command)
    return (*gone, *new)


def _is_likely_to_decide(one: Argument) -> bool:
    return not one.option or bool(_OUTPUT.search(one.option) or _MAY_NAME.search(one.option))


def _arguments(command: Sequence[str]) -> tuple[Argument, ...]:
    return differing((), command)[1]


def _is_output(one: Argument) -> bool:
    return bool(_OUTPUT.search(one.option)) and not _INPUT.search(one.option)


def _names(one: Argument, place: Path) -> bool:
    real = os.path.realpath(place)
    return any(os.path.realpath(os.path.expanduser(value)) == real for value in one.values)  # noqa: PTH111


def _may_decide(one: Argument, place: Path) -> bool:
    """Whether the directory may depend on this argument."""
    if _is_likely_to_decide(one):
        return True
    if _INPUT.search(one.option) and _names(one, place):
        return False  # it reads there what the other run saved
    return any(
        value.endswith(_SETTINGS)
        or re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", str(place)) is not None
        for value in one.values
    )


def _holds_something(place: Path) -> bool:
    try:
        with os.scandir(place) as entries:
            return any(not entry.name.startswith(".") for entry in entries)
    except OSError:
        return False
