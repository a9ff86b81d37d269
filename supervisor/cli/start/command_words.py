"""Refuses a training command that a shell would have read otherwise, and says the right line."""

import os
import shlex
import shutil
import unicodedata
from pathlib import Path

from supervisor.cli.start.command_name import is_assignment
from supervisor.cli.start.typed_line import TypedLine
from supervisor.core.vocabulary import ExitCode
from supervisor.daemon.look.surroundings.variables import masked
from supervisor.errors import SupervisorError

_CONFIGS = (".yaml", ".yml", ".json")
_OF_A_SHELL = frozenset("|&;<>$`*?(")


def refuse_words(line: TypedLine) -> None:
    """Refuse words that cannot be a command. Raises SupervisorError (2) with the line to type."""
    first = line.command[0]
    for word in line.command:
        if any(unicodedata.category(character) == "Cs" for character in word):
            raise _refusal(
                f"the argument {_escaped(word)} has a byte that is not UTF-8, but a run's records"
                " are UTF-8",
                "write the command into a shell script, and run that:\n"
                f"  {line.with_command(['bash', 'train.sh']).text}",
            )
    if len(line.command) == 1:
        _refuse_single(line, first)
    if is_assignment(first):
        raise _refusal(
            f"{_escaped(masked([first])[0])} is not a program: a shell would set this variable,"
            " but no shell reads the command",
            f"type\n  {line.with_command(['env', *line.command]).to_type}",
        )
    if not first.strip():
        raise _refusal(
            "the command begins with an empty word",
            "the first word behind `--` must be the program",
        )


def _refuse_single(line: TypedLine, word: str) -> None:
    """Refuse a whole command in one word, and a configuration. Raises SupervisorError."""
    is_program = shutil.which(word) is not None
    if word.endswith(_CONFIGS) and Path(word).is_file() and not is_program:
        if line.verb != "run":
            return
        config = TypedLine(line.verb, (*line.head, word))
        raise _refusal(f"{word}: is a configuration, not a command", f"type\n  {config.text}")
    if is_program or os.path.lexists(word) or len(word.split()) < 2:
        return
    try:
        words = shlex.split(word)
    except ValueError:
        words = []
    if not words or _OF_A_SHELL.intersection(word) or is_assignment(words[0]):
        words = ["bash", "-c", word]
    raise _refusal(
        f"the whole command {_escaped(masked([word])[0])} is one word, since it stands in quotes",
        f"type\n  {line.with_command(words).to_type}",
    )


def _refusal(message: str, hint: str) -> SupervisorError:
    return SupervisorError(message, hint=hint, code=ExitCode.USAGE)


def _escaped(word: str) -> str:
    return "".join(
        c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(c)) for c in word
    )
