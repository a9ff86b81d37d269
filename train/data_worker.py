"""Set-up of a data-loader process: it outlives stop signals, and ends with its trainer."""

import ctypes
import os
import signal
from functools import partial

from supervisor.worker import ignore_stop_signals

_PR_SET_PDEATHSIG = 1


def worker_initializer() -> "partial[None]":
    """A `worker_init_fn` for workers of this process."""
    return partial(_initialize, os.getpid())


def _initialize(trainer_pid: int, worker: int) -> None:
    # torch's own watch for a dead parent first asks for the parent's pid. If the trainer was killed
    # before that, the worker gets the pid 1 as its parent, and stays forever.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != trainer_pid:
        os._exit(1)
    ignore_stop_signals(worker)
