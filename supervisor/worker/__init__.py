"""What a training script imports: `attach`, early and in the main thread.

`run = attach()` makes the process a rank of the run. `run.resume_from` is the checkpoint to go on
from. `run.beat(step=…)` follows each step. When `run.should_stop` turns true, the script saves and
leaves by `run.exit_preempted(…)`; at the end of training it calls `run.finish(…)`. Data-loader
workers take `ignore_stop_signals` as their `worker_init_fn`.

`rank` makes one `training_process` of the interpreter, for the script or for an adapter. It reads
what the launcher has put into the environment (`environment`), and writes a page of 4096 bytes, one
for each rank (`heartbeat`, `page_layout`), and a `description` beside it. The daemon reads the page
(`page_reading`); the launcher sets one byte of it to ask for a stop. `page_owner` says which
process a page belongs to, `page_place` and `page_repair` keep it where the supervisor looks.
`stop_signals` and `stop_barrier` make `should_stop`. At the first beat `imports` records what was
imported. `adapters` has the names that the start-up hook shares with the daemon.

What always holds: without a supervisor all of it works and has no effect, and none of it fails a
training run. This folder imports relatively and from the standard library alone, for Python 3.9 and
newer: it is loaded into the interpreters of users, too. The names below are imported when one is
asked for: so the launcher can import the page's layout by its module, and brings nothing else in.
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
