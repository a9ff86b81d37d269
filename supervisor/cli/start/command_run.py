"""The run of `supervisor run -- COMMAND…`: its name and configuration, found again or made.

The configuration lies in the run's directory below `runs/`. Nothing is written before `claim`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from supervisor.cli.preflight.finding import Level
from supervisor.cli.preflight.program import program
from supervisor.cli.show.advice import shell_word, shown_config, shown_path
from supervisor.cli.start.admission import refuse_bad_place
from supervisor.cli.start.arguments import difference_text, name_from, numbered
from supervisor.cli.start.command_name import command_name
from supervisor.cli.start.correction import corrected
from supervisor.cli.start.handover import write_refusal
from supervisor.cli.start.shared_output import shared_output
from supervisor.cli.start.typed_line import TypedLine
from supervisor.cli.start.untrained import is_untrained
from supervisor.cli.target import is_run
from supervisor.config.load import LoadedConfig, load_config, parse_config
from supervisor.config.model import RunConfig
from supervisor.config.problems import ConfigError
from supervisor.config.source import NAME, read_text
from supervisor.config.template import command_text, config_template
from supervisor.core.vocabulary import ExitCode
from supervisor.daemon.look.surroundings.variables import masked
from supervisor.errors import SupervisorError
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status
from supervisor.system.durable import create_durably, make_durably

AUTO = "auto"
_RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class CommandRun:
    """The configuration of a command, and whether it is still to be written."""

    loaded: LoadedConfig
    is_new: bool
    corrects: LoadedConfig | None = None
    """What it replaces: the configuration of a run under whose name nothing was trained."""

    @property
    def is_to_be_written(self) -> bool:
        """Whether this start writes the configuration."""
        return self.is_new or self.corrects is not None

    @property
    def told(self) -> str:
        """What this start does about it, for the terminal."""
        path = shown_path(self.loaded.path)
        if self.corrects is None:
            return f"wrote {path}"
        before, now = self.corrects.config.command, self.loaded.config.command
        difference = difference_text(before, now).replace("\n", ", ")
        return f"nothing was trained under this name, so {path} gets the new words: {difference}"


@dataclass(frozen=True, slots=True)
class _Taken:
    """A name that another run has."""

    what: str
    """What is in the way, and what to type to go on with that run."""
    go_on: str
    command: tuple[str, ...] | None = None
    """The other run's command, where it was begun here and by `run --`."""


def command_run(line: TypedLine, name: str | None) -> CommandRun:
    """The run of a command, by its name, or by that which its command gives it.

    With the name `auto` what differs from the run of that name is added. Raises SupervisorError.
    """
    if name is not None and not NAME.fullmatch(name):
        raise SupervisorError(
            f"--name {shell_word(name)}: is no name of a run",
            hint="a name has at most 64 letters, digits, . _ -, with a letter or digit first",
            code=ExitCode.USAGE,
        )
    base = command_name(line.command) if name in (None, AUTO) else name
    assert base is not None
    # In a sweep each line is a run of its own, also if the line before had a mistake.
    found = _look(base, line, may_correct=name != AUTO)
    if _is_there(found):
        return found
    _refuse_missing_program(line)
    if isinstance(found, CommandRun):
        return found
    if name == AUTO and (known := _begun_before(base, line)) is not None:
        return known
    other, standing = _other_name(base, found, line)
    if name == AUTO and isinstance(standing, CommandRun):
        return standing
    begins = "that run is there" if _is_there(standing) else "to begin another run"
    shared = None if _is_there(standing) else shared_output(_config_of(other).parent, line.command)
    if shared is not None:
        begins += f" ({shared.sentence} does: {shared.advice})"
    hint = (
        f"{begins}:\n  {line.with_option('--name', other).to_type}\n"
        f"to go on with the run as it is:\n  {found.go_on}"
    )
    if found.command is not None:
        hint += (
            "\nto give this run the new arguments, change `command` in"
            f" {shell_word(str(_config_of(base)))}"
        )
    raise SupervisorError(found.what, hint=hint, code=ExitCode.CONFIGURATION)


def claim(run: CommandRun, line: TypedLine) -> bool:
    """Write the configuration of a new run, and a `.gitignore`; False where another just did.

    A run whose words are corrected is only looked at again: they are written under its lock
    (correction.py). Raises SupervisorError where the configuration cannot be written.
    """
    if run.corrects is not None:
        return _look(run.loaded.path.parent.name, line, may_correct=True) == run
    if not run.is_new:
        return True
    path, is_first = run.loaded.path, not os.path.lexists(_RUNS)
    try:
        make_durably(path.parent, mode=0o700)
        if not create_durably(path, run.loaded.text.encode(), mode=0o600):
            return False
        # A `runs` that was there may hold what the user keeps in git.
        for folder in (path.parent, *([_RUNS] if is_first else [])):
            create_durably(folder / ".gitignore", b"*\n", mode=0o600)
    except OSError as error:
        raise write_refusal(error, f"{error.filename}: cannot be written", _elsewhere()) from None
    return True


def _begun_before(base: str, line: TypedLine) -> CommandRun | None:
    """The run that this very line began, whatever it would be called by now.

    The command of the run `base` may have been edited since; other things differ then.
    """
    wanted = f"\ncommand: {command_text(line.command)}\n"
    for path in sorted(_RUNS.glob(f"{base}-*/config.yaml")):
        try:
            is_wanted = wanted in read_text(path)
        except ConfigError:
            continue
        standing = _look(path.parent.name, line) if is_wanted else None
        if isinstance(standing, CommandRun):
            return standing
    return None


def _other_name(base: str, found: _Taken, line: TypedLine) -> tuple[str, CommandRun | _Taken]:
    """The name with what differs, and what is there; with a check if the name is taken as well."""
    if found.command is not None:
        name = name_from(base, found.command, line.command)
        standing = _look(name, line)
        if isinstance(standing, CommandRun):
            return name, standing
    name = numbered(base, line.command)
    return name, _look(name, line)


def _is_there(standing: CommandRun | _Taken) -> TypeGuard[CommandRun]:
    return isinstance(standing, CommandRun) and not standing.is_to_be_written


def _config_of(name: str) -> Path:
    return _RUNS / name / "config.yaml"


def _look(name: str, line: TypedLine, *, may_correct: bool = False) -> CommandRun | _Taken:
    """The run of this name if it has this command or is not there; else what is in the way.

    `may_correct`: the run may also get this command, if nothing was trained under its name.
    """
    path = _config_of(name)
    try:
        refuse_bad_place(path.parent.absolute(), path.parent.absolute())
    except SupervisorError as error:
        raise SupervisorError(error.message, hint=_elsewhere(), code=error.code) from None
    go_on = f"supervisor run {shell_word(str(path))}"
    if not os.path.lexists(path):
        if not is_run(path.parent):
            return CommandRun(_new(name, path, line), is_new=True)
        config = shown_config(read_status(RunPaths(path.parent.absolute()).status))
        what = f"{path.parent}: is the directory of a run that has its configuration elsewhere"
        return _Taken(what, f"supervisor run {config}")
    try:
        loaded = load_config(path)
    except ConfigError as error:
        what = f"{error.message}\n(this file would have to be the run's configuration)"
        return _Taken(what, f"correct the file, then: {go_on}")
    known = loaded.config
    if known.cwd is not None and not _is_here(Path(known.cwd)):
        return _Taken(f"{path}: its command runs in {known.cwd}, not here", go_on)
    if known.command != line.command:
        found = corrected(loaded, line) if may_correct else None
        if found is not None and is_untrained(known):
            return CommandRun(found, is_new=False, corrects=loaded)
        text = difference_text(known.command, line.command).replace("\n", "\n  ")
        what = f"{path.parent}: this run has other arguments:\n  {text}"
        # A line with a secret is not printed again.
        is_public = masked(known.command) == known.command
        typed = line.with_command(known.command).text
        return _Taken(what, typed if is_public else go_on, known.command)
    return CommandRun(loaded, is_new=False)


def _new(name: str, path: Path, line: TypedLine) -> LoadedConfig:
    """The configuration that `init` would write, for a command that runs here."""
    text = config_template(
        path=shell_word(str(path)), name=name, command=line.command, cwd=_cwd(path.parent)
    )
    return parse_config(text, path)


def _refuse_missing_program(line: TypedLine) -> None:
    """Refuse what cannot be started: a mistyped word would become the run's. SupervisorError."""
    found = program(RunConfig(command=line.command))
    if found.level is Level.FAIL:
        hint = None if found.do is None else found.do.replace("`command`", "the command")
        raise SupervisorError(found.text, hint=hint, code=ExitCode.CONFIGURATION)


def _cwd(run_dir: Path) -> str:
    """The present directory as a relative path, so that it may be moved, where that will do."""
    # `runs` may be a link to another disk.
    is_below = os.path.realpath(run_dir / "../..") == os.path.realpath(Path.cwd())
    return "../.." if is_below else str(Path.cwd())


def _is_here(directory: Path) -> bool:
    try:
        return directory.samefile(Path.cwd())
    except OSError:
        return False


def _elsewhere() -> str:
    return (
        "go to a directory in which you may write; or write a configuration elsewhere, set"
        " `run_dir` and `cwd` in it, and run that:\n  supervisor init PATH -- COMMAND…"
    )
