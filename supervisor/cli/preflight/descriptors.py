"""How many files a process may have open here, and whether a run can live with that."""

import resource

from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError

# With 20 descriptors the daemon cannot look at checkpoints, and waits without end. With 24 it just
# can. The ranks, their heartbeat pages and a parked interpreter need some too.
LEAST = 64
_ROOM = 1024


def problem() -> str | None:
    """Why a run cannot work under the hard limit; None where it can."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= LEAST:
        return None
    return f"a process may have {hard} files open here, but a run needs {LEAST}"


def make_room() -> None:
    """Raise the soft limit where it is too low. Raises SupervisorError if the hard one is."""
    refused = problem()
    if refused is not None:
        raise SupervisorError(
            refused,
            hint="type `ulimit -n 4096` in this shell first (this may need root); under systemd,"
            " set LimitNOFILE=",
            code=ExitCode.CONFIGURATION,
        )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < LEAST:
        wanted = _ROOM if hard == resource.RLIM_INFINITY else min(_ROOM, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
