"""An attempt's main process as the daemon orders it: environment, grace. It starts nothing."""

from __future__ import annotations

import os
import signal

from supervisor.launcher.children.spawn import Program
from supervisor.launcher.stop_delivery import UNTOLD_GRACE_S
from supervisor.standby import start
from supervisor.standby.command import PythonCommand
from supervisor.standby.shebang import resolve
from supervisor.system import identity, procfs, sd_notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from supervisor.launcher.messages import LaunchOrder, ProgramOrder


def environ_of(order: ProgramOrder) -> dict[str, str]:
    """Return the environment with the marks by which an attempt's processes are known."""
    environ = dict(os.environ)
    for name in (*order.unset, *sd_notify.PRIVATE):
        environ.pop(name, None)
    environ.update(order.env)
    environ[procfs.RUN_ID] = order.run_id
    environ[procfs.ATTEMPT] = str(order.attempt)
    # By the namespace a worker knows whether the launcher's pid means the same process to it.
    namespace = os.stat("/proc/self/ns/pid").st_ino
    who = f"{os.getpid()}:{identity.start_ticks(os.getpid())}:{namespace}"
    environ["SUPERVISOR_LAUNCHER"] = who
    return environ


def heartbeat_dir(order: LaunchOrder) -> str | None:
    """Return the directory of the attempt's heartbeat pages."""
    return order.env.get("SUPERVISOR_HEARTBEAT")


def grace_s(order: LaunchOrder) -> float:
    """Return how long a stop lets the attempt save and end, seconds."""
    try:
        return max(float(order.env.get("SUPERVISOR_GRACE_S", "")), 0.0)
    except ValueError:
        return UNTOLD_GRACE_S


def program_of(order: LaunchOrder, cgroup: str | None) -> Program:
    """Return the program as a new process runs it, in this directory's cgroup."""
    environ = environ_of(order)

    def prepare() -> tuple[tuple[str, ...], dict[str, str]]:
        is_python = isinstance(resolve(order.argv, environ, order.cwd), PythonCommand)
        return order.argv, start.observed(environ) if is_python else environ

    return Program(
        order.argv,
        environ,
        cwd=order.cwd,
        log=order.log,
        death_signal=signal.SIGTERM,
        oom_eligible=True,
        cgroup=cgroup,
        prepare=prepare,
    )
