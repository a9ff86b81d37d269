"""The parked interpreter from its start to "go": import, say so, wait. It decides nothing."""

from __future__ import annotations

import gc
import json
import os
import sys
import time

from supervisor.standby.become import ParkedInterpreter
from supervisor.standby.output import Output
from supervisor.standby.preload import Preload, hold_context, open_devices
from supervisor.standby.priority import LowPriority
from supervisor.standby.refusal import Refused
from supervisor.system.json_lines import JsonLines
from supervisor.worker.imports.places import Places
from supervisor.worker.imports.sources import Shadows, SourceFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Imports that take longer go on at normal priority. On a machine whose cores are all busy, they
# would take minutes in SCHED_IDLE.
LOW_PRIORITY_FOR_S = 60.0


class Control(JsonLines):
    """The inherited socket to the launcher, which blocks. At its end this process ends."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        super().__init__(fd)
        self._heard: list[dict[str, Any]] = []

    def say(self, message: dict[str, Any]) -> None:
        """Write one message; end this process if the launcher is gone."""
        self.write(message)
        if self.is_lost:
            os._exit(0)

    def hear(self) -> dict[str, Any]:
        """Wait for the next message; end this process if the launcher is gone."""
        while not self._heard:
            if self.is_lost:
                os._exit(0)
            self._heard += self.read(1)
        return self._heard.pop(0)


def park(nonce: str, text: str, loaded_before: frozenset[str]) -> None:
    """Import, wait, and return to be the program; in every other case end the process.

    `loaded_before` are the modules that Python itself has loaded by now, in every start.
    """
    settings: dict[str, Any] = json.loads(text)
    control = Control(settings["control_fd"])
    try:
        candidate = _prepare(nonce, settings, loaded_before, control)
        while "go" not in (message := control.hear()):
            candidate.verify()
            control.say({"verified": True})
        candidate.become(message["go"], lambda: control.say({"going": True}))
    except Refused as refused:
        control.say({"refused": str(refused)})
        os._exit(0)
    except KeyboardInterrupt:
        os._exit(130)
    control.close()


def _prepare(
    nonce: str, settings: dict[str, Any], loaded_before: frozenset[str], control: Control
) -> ParkedInterpreter:
    if os.getppid() != settings["launcher_pid"]:
        raise Refused("its parent process is not the launcher")
    started, since = time.time(), time.monotonic()
    output, priority = Output(), LowPriority()
    candidate = ParkedInterpreter(nonce, settings, output=output, priority=priority)
    own = set(sys.modules)
    _import_customizations()
    loaded_before |= sys.modules.keys() - own
    places = Places()
    preload = Preload(settings["preload"], settings["record"], places)
    is_low = True

    def hurry() -> None:
        nonlocal is_low
        if is_low and time.monotonic() - since > LOW_PRIORITY_FOR_S:
            is_low = False
            priority.end()

    preload.perform(hurry)
    if settings["standby"] == "cuda":
        hold_context()
    elif devices := open_devices():
        raise Refused(f"its imports open {', '.join(devices)}")
    gc.collect()
    sources = SourceFiles(places)
    if (path := sources.note(started)) is not None:
        raise Refused(f"{path} changed while it was read")
    sources.note_own(preload.own_files)
    candidate.settle(sources, Shadows(loaded_before), places)
    priority.end()
    control.say({"parked": _described(since, preload, priority, len(sources))})
    return candidate


def _import_customizations() -> None:
    """Import the user's sitecustomize and usercustomize, as `site` does before any program."""
    for name in ("sitecustomize", "usercustomize"):
        if name == "usercustomize" and not sys.modules["site"].ENABLE_USER_SITE:
            continue
        try:
            __import__(name)
        except ImportError as error:
            if error.name != name:
                raise Refused(f"{name} fails: {error}") from None
        except Exception as error:
            raise Refused(f"{name} fails: {type(error).__name__}: {error}") from None


def _described(since: float, preload: Preload, priority: LowPriority, files: int) -> dict[str, Any]:
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return {
        "modules": len(sys.modules),
        "preloaded": preload.packages(),
        "seconds": round(time.monotonic() - since, 3),
        "rss_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "left_out": preload.left_out,
        "files": files,
        "priority": priority.name,
    }
