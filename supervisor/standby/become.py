"""How a parked interpreter becomes its program at "go": what can fail precedes the answer."""

from __future__ import annotations

import os
import sys
import time

from supervisor.standby.command import MODULE, SCRIPT, Cold
from supervisor.standby.process_memory import MainProgram, die_with, name_process, show
from supervisor.standby.refusal import Refused
from supervisor.standby.shebang import resolve
from supervisor.standby.start import OWN_PREFIX, VARIABLE, decoy, digests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from supervisor.standby.command import PythonCommand
    from supervisor.standby.output import Output
    from supervisor.standby.priority import LowPriority
    from supervisor.worker.imports.places import Places
    from supervisor.worker.imports.sources import Shadows, SourceFiles

VERIFIED_FOR_S = 1.0


class ParkedInterpreter:
    """A parked interpreter with all that it needs to become its program."""

    def __init__(
        self,
        nonce: str,
        settings: dict[str, Any],
        *,
        output: Output,
        priority: LowPriority,
    ) -> None:
        """Prepare all that can be prepared before the imports. Raises Refused."""
        self._settings = settings
        self._output = output
        self._priority = priority
        kind = settings["kind"]
        decoyed = decoy(kind, nonce)
        self._program = MainProgram(decoyed, is_script=kind == SCRIPT, is_code=kind == "code")
        self._environ = _at_exec()
        self._here = os.stat(".")
        self._verified_at = float("-inf")

    def settle(self, sources: SourceFiles, shadows: Shadows, places: Places) -> None:
        """Take note of what was imported."""
        self._sources, self._shadows, self._places = sources, shadows, places

    def verify(self) -> None:
        """Check that the preloaded files are unchanged, once a second at most. Raises Refused."""
        if time.monotonic() - self._verified_at > VERIFIED_FOR_S:
            if (path := self._sources.changed()) is not None:
                raise Refused(f"{path} has changed")
            self._verified_at = time.monotonic()

    def become(self, message: dict[str, Any], answer: Callable[[], None]) -> None:
        """Become the program, which runs once this returns. Raises Refused only before `answer`."""
        environ: dict[str, str] = message["env"]
        cwd: str | None = message["cwd"]
        command = self._command(message["argv"], environ, cwd)
        self._check_environment(environ)
        self._check_directory(cwd)
        self.verify()
        self._check_shadows(command)
        self._output.open_log(message["log"])
        own = {name: value for name, value in environ.items() if name.startswith(OWN_PREFIX)}
        target = command.stem + command.target
        shown = self._environ + [os.fsencode(f"{name}={value}") for name, value in own.items()]
        words = [*sys.orig_argv[:-1], target, *command.args]
        show(words, shown)
        if command.comm is not None:
            name_process(command.comm)
        self._priority.forgive()
        die_with(self._settings["launcher_pid"], message["death_signal"])
        if cwd is not None:
            os.chdir(cwd)
        self._program.replace(command.target)
        answer()

        os.environ.update(own)
        sys.orig_argv[:] = words
        first = {SCRIPT: command.target, MODULE: "-m"}.get(command.kind, "-c")
        sys.argv[:] = [first, *command.args]
        for entry in self._places.own_entries:
            sys.path_importer_cache.pop(entry, None)
        _start_clocks()
        self._output.give()

    def _command(self, argv: list[str], environ: dict[str, str], cwd: str | None) -> PythonCommand:
        # On a dead disk this process hangs alone, and the launcher kills it (ANSWER_S).
        command = resolve(argv, environ, cwd)
        if isinstance(command, Cold):
            raise Refused(command.reason)
        settings = self._settings
        parked = (settings["kind"], settings["stem"], tuple(settings["options"]))
        if (command.kind, command.stem, command.options) != parked:
            raise Refused("the command has changed")
        if command.executable != settings["executable"]:
            raise Refused(f"the command uses another Python, {command.executable}")
        return command

    def _check_environment(self, environ: dict[str, str]) -> None:
        then, now = self._settings["environ"], digests(environ)
        for name in sorted(then.keys() | now.keys()):
            if then.get(name) != now.get(name):
                raise Refused(f"{name} has changed in the environment")

    def _check_directory(self, cwd: str | None) -> None:
        try:
            there = os.stat(cwd) if cwd is not None else self._here
        except OSError as error:
            raise Refused(f"{error.strerror}: {cwd}") from None
        if not os.path.samestat(there, self._here):
            raise Refused("the working directory has changed")

    def _check_shadows(self, command: PythonCommand) -> None:
        folders = list(self._places.own_entries)
        if not sys.flags.safe_path:
            is_script = command.kind == SCRIPT
            script = os.path.realpath(command.target)
            folders.append(os.path.dirname(script) if is_script else os.getcwd())
        for folder in folders:
            if (path := self._shadows.found_in(folder)) is not None:
                raise Refused(f"{path} would be imported instead of a preloaded module")


def _at_exec() -> list[bytes]:
    """Return the environment that this process was started with, without what parks it.

    The launcher's own copy will not do: wrappers (pyenv's shims) may have added variables. Nor will
    os.environ: Python itself may have set LC_CTYPE there (PEP 538).
    """
    with open("/proc/self/environ", "rb") as file:
        entries = file.read().split(b"\0")[:-1]
    path = [b"PYTHONPATH=" + os.environb[b"PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    found = []
    for entry in entries:
        if entry.startswith(b"PYTHONPATH="):
            found += path
        elif not entry.startswith(VARIABLE.encode() + b"="):
            found.append(entry)
    return found


def _start_clocks() -> None:
    """Restart logging's clock: %(relativeCreated)d counts from its import, maybe hours ago."""
    if (logging := sys.modules.get("logging")) is None:
        return
    match getattr(logging, "_startTime", None):
        case float():
            logging.__dict__["_startTime"] = time.time()
        case int():  # since Python 3.13
            logging.__dict__["_startTime"] = time.time_ns()
