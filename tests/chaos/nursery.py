"""Trainers forked from a process that has torch loaded, one for each point; all are ended."""

import multiprocessing
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.chaos import driver
from tests.chaos.driver import Order, Report
from tests.chaos.injection import Strike, Tracer

_WAIT_S = 120.0
_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload([driver.__name__])


class Trainer:
    """One trainer; after the constructor it waits at its gate."""

    def __init__(self, order: Order, log: Path) -> None:
        self._log = log
        self._tracer: Tracer | None = None
        self._gate: Connection
        self._gate, other = _fork.Pipe()
        self._process: ForkServerProcess = _fork.Process(target=driver.drive, args=(order, other))
        self._process.start()
        other.close()
        assert self._gate.poll(_WAIT_S), "it did not come to its gate"
        assert self._gate.recv() == "ready"

    def strike(self, strike: Strike | None) -> None:
        """Trace the trainer: inject a fault at a later call, or only count its calls."""
        assert self._process.pid is not None
        self._tracer = Tracer(self._process.pid, self._log, strike)

    def go_on(self) -> Report | None:
        """Let it through its gate; its report, None if it ended before the report."""
        report: Report | None = None
        with suppress(BrokenPipeError):  # it was struck while it read
            self._gate.send("go on")
        assert self._gate.poll(_WAIT_S), "neither a report nor its end"
        try:
            report = self._gate.recv()
        except (EOFError, ConnectionResetError):
            report = None
        self._process.join(_WAIT_S)
        return report

    @property
    def exit_code(self) -> int | None:
        """The exit code; negative for a signal."""
        return self._process.exitcode

    def let_go(self) -> Tracer:
        """Stop tracing; the tracer, with what it saw."""
        assert self._tracer is not None
        self._tracer.close()
        return self._tracer

    def kill(self) -> None:
        """Kill the process, whatever failed before."""
        self._gate.close()
        if self._process.is_alive():
            self._process.kill()
        self._process.join(_WAIT_S)
        self._process.close()
