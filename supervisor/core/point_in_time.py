"""A point in time as the ledger has it: by the clock that never jumps, and by the wall clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """Wall seconds since 1970, and monotonic seconds of one boot where they are known."""

    wall: float
    monotonic: float | None = None
    boot: str | None = None

    def age_s(self, now: "Moment") -> float:
        """Seconds from here to `now`, never negative.

        Within a boot by the monotonic clock: a wall clock that jumps by hours changes no timer and
        no budget. Over a reboot only the wall clock is left.
        """
        same_boot = self.boot is not None and self.boot == now.boot
        if same_boot and self.monotonic is not None and now.monotonic is not None:
            passed = now.monotonic - self.monotonic
            if passed >= 0:
                return passed
        return max(now.wall - self.wall, 0.0)
