"""Refuses a name that would become several lines in a file for systemd, sbatch or a shell."""

import unicodedata

from supervisor.config.model import RunConfig
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError

# Cc: C0, DEL and C1. Zl, Zp: the two separators that some readers take for line ends. Cs: bytes
# that are not UTF-8, for which systemd ignores the whole line. Bidi: a person reads another name.
_REFUSED = frozenset({"Cc", "Zl", "Zp", "Cs"})
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def single_line(text: str, what: str) -> str:
    """The text, if it can stand in one line as it is.

    Raises SupervisorError for control characters, line separators, and what is not UTF-8.
    """
    bad = next((c for c in text if unicodedata.category(c) in _REFUSED or c in _BIDI), None)
    if bad is None:
        return text
    raise SupervisorError(
        f"{what} {shown(text)} contains {_named(bad)}, which cannot stand in the file to be"
        " written",
        hint="nothing was written; choose another name",
        code=ExitCode.CONFIGURATION,
    )


def refuse_other_bytes(config: RunConfig) -> None:
    """Refuse directories whose names are not UTF-8, since a run's records are.

    Raises SupervisorError.
    """
    places = (
        ("run_dir", config.run_dir),
        ("cwd", config.cwd),
        ("checkpoints.directory", config.checkpoints.directory),
        ("diagnosis.rules", config.diagnosis.rules),
    )
    for key, place in places:
        if place is not None and any(unicodedata.category(c) == "Cs" for c in place):
            raise SupervisorError(
                f"{key} {shown(place)} has a byte in its name that is not UTF-8, but a run's"
                " records are UTF-8",
                hint="start the run in a directory with another name, or name one in the"
                " configuration",
                code=ExitCode.CONFIGURATION,
            )


def shown(text: str) -> str:
    r"""The text with escapes for what cannot be printed: `'a\nb'`."""
    escaped = "".join(
        c.encode("unicode_escape").decode() if not c.isprintable() else c for c in text
    )
    return f"'{escaped}'"


def _named(character: str) -> str:
    """What a person calls it."""
    if character in "\n\r":
        return "a line break"
    if unicodedata.category(character) == "Cs":
        return "a byte that is not UTF-8"
    return f"the control character U+{ord(character):04X}"
