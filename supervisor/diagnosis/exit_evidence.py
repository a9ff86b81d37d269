"""Which explanations an exit leaves open: text is no evidence against it. No text is read here."""

from signal import Signals

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.ending_codes import from_signal
from supervisor.diagnosis.suspect_lines import Explanation

# Nothing that a trainer prints may hold a run, or take it back, that died of another thing.
_GRAVE = frozenset({Action.HOLD, Action.EXCLUDE, Action.ROLLBACK})


def agrees(signal: int | None, found: Explanation) -> bool:
    """Whether a process that ended by `signal` (None: by itself) can have died of this.

    SIGKILL, SIGTERM and the like are sent from outside: only the kernel and the scheduler know by
    whom. A segmentation fault comes from within, where its own last words may explain it.
    """
    if signal is None or found.from_kernel or found.names_killer:
        return True
    match from_signal(signal).failure:
        case Failure.ABORTED:
            return True  # how NCCL's watchdog and C++ exceptions end a process that has said why
        case Failure.SEGFAULT if signal == Signals.SIGBUS:
            # A full /dev/shm is first noticed by touching it.
            is_memory = found.failure is Failure.SHARED_MEMORY_EXHAUSTED
            return is_memory or found.action not in _GRAVE
        case Failure.SEGFAULT:
            return found.action not in _GRAVE
        case _:
            return False
