"""Which explanations an exit leaves possible: printed text cannot overrule it, and is not read."""

from signal import Signals

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.ending_codes import from_signal
from supervisor.diagnosis.explanation import Explanation

# After a segmentation fault a printed line alone must not hold the run, exclude a device or roll
# back. The trainer may have died of another cause.
_GRAVE = frozenset({Action.HOLD, Action.EXCLUDE, Action.ROLLBACK})


def agrees(signal: int | None, found: Explanation) -> bool:
    """Whether a process that ended by `signal` (None: by itself) can have died of this.

    SIGKILL, SIGTERM and the like come from outside: only the kernel and the scheduler know who sent
    them. A segmentation fault comes from within, so the process's own last words may explain it.
    """
    if signal is None or found.from_kernel or found.names_killer:
        return True
    match from_signal(signal).failure:
        case Failure.ABORTED:
            return True  # NCCL's watchdog and C++ exceptions abort after printing why
        case Failure.SEGFAULT if signal == Signals.SIGBUS:
            # A process notices a full /dev/shm when it touches a page there: SIGBUS.
            is_memory = found.failure is Failure.SHARED_MEMORY_EXHAUSTED
            return is_memory or found.action not in _GRAVE
        case Failure.SEGFAULT:
            return found.action not in _GRAVE
        case _:
            return False
