"""Elastic agents, which look after ranks themselves: torchrun, accelerate, deepspeed.

An agent takes a rank that ends by itself for a failure. It starts that rank again, and ends the
others in mid-save. So a stop has to reach the agent first, which passes it on to its ranks. This
module only looks.
"""

from __future__ import annotations

import os

from supervisor.system import procfs
from supervisor.system.procfs import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MARK = "TORCHELASTIC_RUN_ID"
_PROGRAMS = frozenset(
    {"torchrun", "accelerate", "accelerate-launch", "deepspeed", "torchrun.py", "deepspeed.py"}
)
_MODULES = (
    "torch.distributed.run",
    "torch.distributed.launch",
    "torch.distributed.elastic",
    "accelerate.commands",
    "deepspeed.launcher",
)
# Options of Python that take the next word as their value.
_TAKING = ("-W", "-X", "--check-hash-based-pycs")


def is_agent(argv: Sequence[str]) -> bool:
    """Tell whether an argument list starts an agent: as a program, a script or by `python -m`."""
    if not argv:
        return False
    name = os.path.basename(argv[0])
    if name in _PROGRAMS:
        return True
    if not name.startswith(("python", "pypy")):
        return False
    words = iter(argv[1:])
    for word in words:
        if word in _TAKING:
            next(words, None)
        elif word == "-m":
            return _is_module(next(words, ""))
        elif word == "-c":
            return False
        elif not word.startswith("-"):
            return _is_script(word)
        elif word[1:2] != "-" and word.endswith("m"):
            return _is_module(next(words, ""))  # -um, -Im
    return False


def _is_module(name: str) -> bool:
    return any(name == known or name.startswith(f"{known}.") for known in _MODULES)


def _is_script(path: str) -> bool:
    if os.path.basename(path) in _PROGRAMS:
        return True
    return any("/" + known.replace(".", "/") in path for known in _MODULES)


def ancestors(process: Process, table: dict[int, Process], main_pid: int) -> list[Process]:
    """Return a process's ancestors in `table`, nearest first, up to the main process."""
    found: list[Process] = []
    seen = {process.pid}
    while process.pid != main_pid and process.ppid in table and process.ppid not in seen:
        process = table[process.ppid]
        seen.add(process.pid)
        found.append(process)
    return found


def agent_of(rank: Process, above: Sequence[Process]) -> Process | None:
    """Return a rank's agent among its ancestors `above` (nearest first); None for none.

    It is the outermost ancestor with an agent's command: `deepspeed` starts a launcher of its own.
    Else, if the rank carries torchrun's mark, it is the nearest ancestor without that mark.
    """
    for process in reversed(above):
        if is_agent(procfs.read_command(process.pid)):
            return process
    if not _is_marked(rank):
        return None
    return next((process for process in above if not _is_marked(process)), None)


def _is_marked(process: Process) -> bool:
    return procfs.has_mark(procfs.read_environ(process.pid) or b"", MARK)
