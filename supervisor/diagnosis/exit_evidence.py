"""Which explanations an exit leaves possible: printed text cannot overrule it, and is not read."""

from signal import Signals

from supervisor.core.vocabulary import Failure
from supervisor.diagnosis.ending_codes import from_signal
from supervisor.diagnosis.explanation import Explanation


def agrees(signal: int | None, found: Explanation) -> bool:
    """Whether a process that ended by `signal` (None: by itself) can have died of this.

    SIGKILL, SIGTERM and the like come from outside: only the kernel and the scheduler know who sent
    them. A segmentation fault comes from within, so the process's own last words may explain it.
    But a printed line alone holds no run then: the trainer may have died of another cause.
    """
    if signal is None or found.from_kernel or found.names_killer:
        return True
    match from_signal(signal).failure:
        case Failure.ABORTED:
            return True  # NCCL's watchdog and C++ exceptions abort after printing why
        case Failure.SEGFAULT if signal == Signals.SIGBUS:
            # A process notices a full /dev/shm when it touches a page there: SIGBUS.
            is_memory = found.failure is Failure.SHARED_MEMORY_EXHAUSTED
            return is_memory or not found.is_grave
        case Failure.SEGFAULT:
            return not found.is_grave
        case _:
            return False
