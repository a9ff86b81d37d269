"""Command line, environment and messages with which the launcher parks an interpreter.

The command line names a program that does not exist, the decoy. If the hook in `startup/` is not
reached, Python ends with an error, so there is never a second trainer. Nothing here is started.
"""

from __future__ import annotations

import json
import os

from supervisor.standby.command import CODE, MODULE
from supervisor.standby.digests import digest
from supervisor.worker.imports.observations import SUFFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from supervisor.standby.command import PythonCommand

VARIABLE = "SUPERVISOR_PARKED"
STARTUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "startup")
# Variables with this prefix differ from one attempt to the next, and no import depends on them.
OWN_PREFIX = "SUPERVISOR_"


def digests(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the digest of each variable that must not change between parking and "go"."""
    return {
        name: digest(value) for name, value in environ.items() if not name.startswith(OWN_PREFIX)
    }


def decoy(kind: str, nonce: str) -> str:
    """Return a program of this kind that does not exist, or only exits."""
    if kind == MODULE:
        return f"_parked_{nonce}"
    if kind == CODE:
        return f"raise SystemExit('not parked: {nonce}')"
    return f"/nonexistent/parked-{nonce}.py"


def argv(command: PythonCommand, nonce: str) -> list[str]:
    """Return the words to exec: the user's interpreter and options, and the decoy.

    The first is the word that the user wrote: sys.executable may depend on it.
    """
    return [*command.words, command.stem + decoy(command.kind, nonce)]


def environ(
    attempt: Mapping[str, str],
    command: PythonCommand,
    nonce: str,
    *,
    control_fd: int,
    record: str | None,
    preload: str | Sequence[str] = "auto",
    standby: str | None = None,
    launcher_pid: int | None = None,
) -> dict[str, str]:
    """Return the environment to exec with, made from that of an attempt.

    The parked interpreter inherits `control_fd`; `record` is the file that `recorder.record` wrote;
    `preload` is "auto" or names of modules; `standby` is None or "cuda". Its parent is
    `launcher_pid`, this process if None.
    """
    own = {name: value for name, value in attempt.items() if not name.startswith(OWN_PREFIX)}
    known = digests(own)
    own["PYTHONPATH"] = _with_startup(own)
    settings = {
        "control_fd": control_fd,
        "launcher_pid": os.getpid() if launcher_pid is None else launcher_pid,
        "executable": command.executable,
        "kind": command.kind,
        "stem": command.stem,
        "options": command.options,
        "record": record,
        "preload": preload if isinstance(preload, str) else list(preload),
        "standby": standby,
        "environ": known,
    }
    own[VARIABLE] = f"{nonce} {json.dumps(settings)}"
    return own


def _with_startup(environ: Mapping[str, str]) -> str:
    found = environ.get("PYTHONPATH")
    return STARTUP + os.pathsep + found if found else STARTUP


def observed(environ: dict[str, str]) -> dict[str, str]:
    """Return the environment of a cold launch whose imports are followed, if that is wanted.

    The notes on an earlier attempt are removed: they must not be taken for this attempt's.
    """
    record = environ.get("SUPERVISOR_IMPORTS")
    if not record:
        return environ
    try:
        os.unlink(record + SUFFIX)
    except FileNotFoundError:
        pass
    except OSError:
        return environ  # the trainer could not write it either
    return {**environ, "PYTHONPATH": _with_startup(environ)}


def verify() -> dict[str, Any]:
    """Return the message that lets it check its files now, to be quicker at "go"."""
    return {"verify": True}


def go(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    cwd: str | None,
    log: str | None,
    death_signal: int,
) -> dict[str, Any]:
    """Return the message that makes it the program; the answer is {"going": true} or a refusal.

    The arguments are those of a cold launch. `log` None leaves stdout and stderr as they were at
    its start. `death_signal` is sent to it when the launcher ends (PR_SET_PDEATHSIG).
    """
    message = {
        "argv": list(argv),
        "env": dict(environ),
        "cwd": cwd,
        "log": log,
        "death_signal": death_signal,
    }
    return {"go": message}
