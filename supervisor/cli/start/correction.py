"""The words of a corrected line, for a run under whose name nothing was trained.

They are written by the start that holds the run's lock. No other start can write them meanwhile.
"""

from supervisor.cli.start.handover import Start, write_refusal
from supervisor.cli.start.typed_line import TypedLine
from supervisor.cli.start.untrained import is_untrained
from supervisor.config.load import LoadedConfig, load_config, parse_config
from supervisor.config.problems import ConfigError
from supervisor.config.template import command_text
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.system.durable import write_durably


def corrected(known: LoadedConfig, line: TypedLine) -> LoadedConfig | None:
    """The configuration with the command of this line; None where the file's is written by hand."""
    old = f"\ncommand: {command_text(known.config.command)}\n"
    if known.text.count(old) != 1:
        return None
    text = known.text.replace(old, f"\ncommand: {command_text(line.command)}\n")
    try:
        return parse_config(text, known.path)
    except ConfigError:
        return None


def refuse_changed(start: Start) -> None:
    """Ask again, as the holder of the run's lock, whether the words may be corrected.

    Raises SupervisorError (75) where the file is another by now, or the run is worth keeping.
    """
    if start.corrects is None or _may_correct(start.corrects):
        return
    raise SupervisorError(
        f"{start.loaded.path}: the run has changed since its words were compared with this line;"
        " nothing was started",
        hint="type the line again",
        code=ExitCode.PREEMPTED,
    )


def write_correction(start: Start) -> None:
    """Write the words of the line. Only the holder of the run's lock may. SupervisorError."""
    if start.corrects is None:
        return
    path = start.loaded.path
    try:
        write_durably(path, start.loaded.text.encode())
    except OSError as error:
        hint = "make the run's directory writable for you"
        raise write_refusal(error, f"{path}: cannot be written", hint) from None


def _may_correct(corrects: LoadedConfig) -> bool:
    try:
        is_as_read = load_config(corrects.path) == corrects
    except ConfigError:
        return False
    return is_as_read and is_untrained(corrects.config, is_locked=True)
