"""Reads the signs of life of an attempt's processes: small files in its heartbeat directory.

Any process of the user may have written them. What does not fit is passed over. A file stays open
once it is found: it is readable when its directory is emptied (RemoveIPC).
"""

import os
from pathlib import Path
from typing import NamedTuple

from supervisor.core.sign_of_life import SignPhase, SignsSeen, StopAnswer
from supervisor.system.identity import has_ended, read_stat
from supervisor.system.procfs import mark, read_environ
from supervisor.worker.sign_layout import (
    LOADING,
    SAVING,
    SIGN,
    SIGN_MAGIC,
    SIGN_PREFIX,
    SIGN_VERSION,
    STOP_ENDS,
    STOP_HANDLED,
    STOP_WAITS,
)

# While signs come, they are read this often. A silence is followed at each look.
PAUSE_S = 5.0
_QUIET_S = 15.0
# A short configured limit needs shorter pauses.
_PART = 1 / 4
_FILES_MAX = 256
_PHASES = {SAVING: SignPhase.SAVE, LOADING: SignPhase.LOAD}
_ANSWERS = {
    STOP_HANDLED: StopAnswer.HANDLED,
    STOP_WAITS: StopAnswer.WAITS,
    STOP_ENDS: StopAnswer.ENDS,
}
# Where launchers say how many ranks there are.
_WORLD_SIZES = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
# The answer that counts if processes answer differently.
_WEIGHT = (StopAnswer.NONE, StopAnswer.HANDLED, StopAnswer.ENDS, StopAnswer.WAITS)


class Sign(NamedTuple):
    """One process's sign of life; times are monotonic seconds."""

    pid: int
    local_rank: int
    start_ticks: int
    attempt: int
    signs: int
    last_at: float
    longest_gap_s: float
    phase: SignPhase
    phase_since: float
    stop: StopAnswer
    world_size: int = 1
    """How many ranks there are on all machines, as far as its environment tells."""


def read_sign(fd: int) -> Sign | None:
    """The sign in an open file; None if it is not one of ours. Never raises."""
    try:
        raw = os.pread(fd, SIGN.size, 0)
    except OSError:
        return None
    if len(raw) < SIGN.size:
        return None
    magic, version, pid, local, ticks, attempt, count, last, gap, phase, since, stop = SIGN.unpack(
        raw
    )
    # No gap is longer than the time up to the last sign.
    if magic != SIGN_MAGIC or version != SIGN_VERSION or pid == 0 or gap > last:
        return None
    return Sign(
        pid=pid,
        local_rank=local,
        start_ticks=ticks,
        attempt=attempt,
        signs=count,
        last_at=last / 1e9,
        longest_gap_s=gap / 1e9,
        phase=_PHASES.get(phase, SignPhase.NONE),
        phase_since=since / 1e9,
        stop=_ANSWERS.get(stop, StopAnswer.NONE),
    )


class SignFiles:
    """The signs of one attempt. `look` reads them only if that is due."""

    def __init__(self, directory: Path, attempt: int, limit_s: float | None = None) -> None:
        """`limit_s`: the configured time without a sign; None if it is learned."""
        self._directory = directory
        self._attempt = attempt
        self._pause_s = PAUSE_S if limit_s is None else min(PAUSE_S, limit_s * _PART)
        self._open: dict[str, tuple[int, int]] = {}
        self._due_at = 0.0
        self._is_hurried = False
        self._phases: dict[tuple[int, int], tuple[SignPhase, float]] = {}
        self._read_at = 0.0
        self._worlds: dict[tuple[int, int], int] = {}
        self._longest_phase_s = 0.0
        self.living: tuple[Sign, ...] = ()
        """The processes that live, as last read."""

    def hurry(self) -> None:
        """Read at each look from now on: a stop is under way, or the attempt has ended."""
        self._is_hurried, self._due_at = True, 0.0

    @property
    def waiting(self) -> tuple[int, ...]:
        """The processes that answer a stop by training on to their own next save."""
        return tuple(sign.pid for sign in self.living if sign.stop is StopAnswer.WAITS)

    @property
    def are_all_here(self) -> bool:
        """Whether signs come, and from as many processes as there are ranks on all machines."""
        count = len(self.living)
        return count > 0 and all(sign.world_size <= count for sign in self.living)

    def look(self, now: float) -> SignsSeen | None:
        """What the signs say now; None if they were not read, or no process ever gave one."""
        if now < self._due_at:
            return None
        signs = self._read()
        if not signs:
            self._due_at = now + self._pause_s
            return None
        self.living = tuple(self._with_world(sign) for sign in signs if _is_alive(sign))
        self._note_phases(now)
        seen = self._sum_up(signs, now)
        is_quiet = seen.last_at is not None and now - seen.last_at > _QUIET_S
        self._due_at = now if is_quiet or self._is_hurried else now + self._pause_s
        return seen

    def _sum_up(self, signs: list[Sign], now: float) -> SignsSeen:
        counted = [sign for sign in self.living if sign.signs >= 2]
        newest = max((max(one.last_at, one.phase_since) for one in counted), default=None)
        told = [sign for sign in counted if sign.phase is not SignPhase.NONE]
        # Once all have ended, what they had said counts.
        answers = [sign.stop for sign in self.living or signs]
        phase = max(told, key=lambda sign: sign.phase_since).phase if told else SignPhase.NONE
        return SignsSeen(
            attempt=self._attempt,
            processes=len(self.living),
            last_at=None if newest is None else min(newest, now),
            longest_gap_s=max(sign.longest_gap_s for sign in signs),
            longest_phase_s=self._longest_phase_s,
            phase=phase,
            stop=max(answers, key=_WEIGHT.index),
        )

    def _with_world(self, sign: Sign) -> Sign:
        """The sign with its number of ranks, read once: the memory of a hung process is locked."""
        key = (sign.pid, sign.start_ticks)
        if key not in self._worlds:
            environ = read_environ(sign.pid) or b""
            told = (mark(environ, name) or "" for name in _WORLD_SIZES)
            self._worlds[key] = max((int(one) for one in told if one.isdigit()), default=1)
        return sign._replace(world_size=self._worlds[key])

    def _note_phases(self, now: float) -> None:
        """Learn how long a phase took at least, once it is over."""
        before, self._phases = self._phases, {}
        for sign in self.living:
            key, phase = (sign.pid, sign.start_ticks), (sign.phase, sign.phase_since)
            was = before.get(key)
            if was is not None and was != phase:
                self._longest_phase_s = max(self._longest_phase_s, self._read_at - was[1])
            if sign.phase is not SignPhase.NONE:
                self._phases[key] = phase
        self._read_at = now

    def _read(self) -> list[Sign]:
        try:
            names = [one.name for one in os.scandir(self._directory)]
        except OSError:
            names = []
        for name in names:
            if name.startswith(SIGN_PREFIX) and name[len(SIGN_PREFIX) :].isdigit():
                self._refresh(name)
        found = []
        for name, (fd, _) in self._open.items():
            sign = read_sign(fd)
            is_own = sign is not None and name == f"{SIGN_PREFIX}{sign.pid}"
            if sign is not None and is_own and sign.attempt == self._attempt:
                found.append(sign)
        return found

    def _refresh(self, name: str) -> None:
        path, known = self._directory / name, self._open.get(name)
        try:
            inode = path.lstat().st_ino
            if (known is None and len(self._open) >= _FILES_MAX) or (known and known[1] == inode):
                return
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return
        self._open[name] = (fd, inode)
        if known is not None:
            os.close(known[0])

    def close(self) -> None:
        """Close the files."""
        for fd, _ in self._open.values():
            os.close(fd)
        self._open.clear()


def _is_alive(sign: Sign) -> bool:
    stat = read_stat(sign.pid)
    is_same = stat is not None and int(stat[1][19]) == sign.start_ticks
    return is_same and stat is not None and not has_ended(stat[1])
