"""What a training script imports: `attach`. This folder imports nothing of `supervisor` around it.

Relative imports and the standard library alone, for Python 3.9 and newer: it is loaded into the
interpreters of users too. Those who need the page's layout import it by its module, and bring
nothing else in.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .rank import EXIT_CONFIGURATION, EXIT_PREEMPTED, Worker, attach, ignore_stop_signals

__all__ = [
    "EXIT_CONFIGURATION",
    "EXIT_PREEMPTED",
    "Worker",
    "attach",
    "ignore_stop_signals",
]


def __getattr__(name: str) -> "Any":
    """Bring the names above in when the first of them is asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import rank

    globals().update({each: getattr(rank, each) for each in __all__})
    return globals()[name]
