"""What the launcher does when no daemon comes up (a broken upgrade): it says so, and writes a file.

From the second death on it is said as an error, and `status` reads the file. A forked child writes
it: a disk that hangs would hang the launcher. The next daemon that lives removes it.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

FILE = "no-daemon.json"
# One death is an accident, and mended at once.
LOUD_FROM = 2
# After a life this long the count of deaths begins again.
SETTLED_S = 10.0
# A child closes descriptors up to this number; the launcher has some dozens open.
_MOST_DESCRIPTORS = 4096


class DaemonDown:
    """Since when daemons have died in a row, and why."""

    def __init__(self, state_dir: str | None) -> None:
        """`state_dir`: the run's `.supervisor`; None: nothing is written."""
        self.pid = 0
        self.said: str | None = None
        self._path = None if state_dir is None else f"{state_dir}/{FILE}"
        self._count = 0
        self._since = 0.0

    @property
    def is_loud(self) -> bool:
        """Tell whether more than one daemon has died in a row."""
        return self._count >= LOUD_FROM

    def note(self, how: str, lived_s: float, again_in_s: float, going_on: str) -> str:
        """Count a death, write the file from the second on, and return the line to say."""
        if lived_s >= SETTLED_S:
            self._count = 0
        self._count += 1
        if self._count == 1:
            self._since = time.time()
        why = f"{how}: {self.said}" if self.said else how
        self.said = None
        line = f"the daemon {why}; starting it again in {again_in_s:g} s{going_on}"
        if not self.is_loud:
            return line
        self._write(
            {
                "since": _rfc3339(self._since),
                "at": _rfc3339(time.time()),
                "failures": self._count,
                "why": why,
                "next_at": _rfc3339(time.time() + again_in_s),
            }
        )
        return (
            f"NO DAEMON, {self._count} in a row died: {line}. Until a daemon lives, nobody watches"
            " the run, and nothing is launched: mend the installation, or look into"
            " supervisor.log"
        )

    def _write(self, facts: dict[str, Any]) -> None:
        if self._path is None or self.pid:
            return  # the child before still writes to a slow disk; the next death is written again
        import json

        text = json.dumps(facts).encode() + b"\n"
        try:
            pid = os.fork()
        except OSError:
            return  # there can be no process now; the line is said all the same
        if pid == 0:
            _replace(self._path, text)
        self.pid = pid


def _replace(path: str, text: bytes) -> NoReturn:
    """Write the file and end, as a child of the launcher: a disk that stalls must not stall it."""
    code = 1
    try:
        # The run's lock is among them: a child that waits for a disk must not hold it.
        os.closerange(0, _MOST_DESCRIPTORS)
        fd = os.open(f"{path}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(fd, text)
        os.close(fd)
        os.replace(f"{path}.tmp", path)
        code = 0
    finally:
        os._exit(code)


def _rfc3339(wall: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall))
