"""How long the processes of an attempt have used nothing and started nothing."""

from collections.abc import Callable

from supervisor.daemon.look.movement import Allowance, movement
from supervisor.daemon.look.process_samples import TreeSample

SAMPLES_S = 5.0
# A shell or srun that waits uses no CPU; the kernel counts it in hundredths of a second.
_NOISE_S = 0.02


class IdleProcesses:
    """Samples every five seconds; the quiet begins anew when something moves."""

    def __init__(self, sample: Callable[[], TreeSample]) -> None:
        self._sample = sample
        self._first: TreeSample | None = None
        self._last: TreeSample | None = None

    def seconds(self, now: float) -> float:
        """How long nothing was done, as of now (CLOCK_MONOTONIC)."""
        if self._first is None or self._last is None:
            self._first = self._last = self._sample()
        elif now - self._last.at_s >= SAMPLES_S:
            sample = self._sample()
            if self._has_moved(sample):
                self._first = sample
            self._last = sample
        return max(now - self._first.at_s, 0.0)

    def _has_moved(self, sample: TreeSample) -> bool:
        assert self._first is not None
        assert self._last is not None
        pids = {*self._first.processes, *self._last.processes, *sample.processes}
        elapsed_s = sample.at_s - self._first.at_s
        # Compared since the quiet began: a process that uses little again and again is at work.
        whole = Allowance(cores=_NOISE_S / elapsed_s, wakes_per_s=1.0)
        return bool(
            movement([(self._first, sample)], pids, whole)
            or movement([(self._last, sample)], pids, Allowance(cores=1.0))
        )
