"""Start of the persister, by path, from anywhere and with any environment.

`python -P .../memory/__main__.py persist --directory S [--until-pid PID] [--nice N]
[--rescue-at-end]`: serves until PID is gone, or until standard input, if that is a pipe, ends.
With `--rescue-at-end` it then persists the newest snapshot, wanted or not, and removes S.
"""

import os
import signal
import stat
import sys
from contextlib import suppress
from pathlib import Path

if __package__ in (None, ""):
    # This file is run by path, so Python looks for modules in its folder. Look instead in the
    # folder that holds `supervisor`.
    _HERE = str(Path(__file__).resolve().parent)
    sys.path[:] = [place for place in sys.path if place != _HERE]
    sys.path.append(str(Path(_HERE).parents[1]))

    from supervisor.memory.persister_process import IGNORED

    # Ignored from here on, since the other imports take 50 ms.
    for _number in IGNORED:
        signal.signal(_number, signal.SIG_IGN)

from supervisor.memory.persister import Persister
from supervisor.memory.wakeup_fifo import WakeupFifo

USAGE = "persist --directory S [--until-pid PID] [--nice N] [--rescue-at-end]"


def _be_batch() -> None:
    """Run under SCHED_BATCH, if that is allowed (a container's filter can refuse it).

    The persister then takes no core from the training's threads when it wakes up (sched(7)). Its
    share of a busy core stays that of its nice value.
    """
    with suppress(OSError):
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main(words: list[str]) -> int:
    """Be the persister; the exit code is 0 when its service ended, 2 for a wrong command line."""
    values = {"--directory": "", "--until-pid": "0", "--nice": "10"}
    command, *rest = words or [""]
    is_rescuing = "--rescue-at-end" in rest
    rest = [word for word in rest if word != "--rescue-at-end"]
    is_wrong = command != "persist" or len(rest) % 2 == 1 or not set(rest[::2]) <= set(values)
    # argparse would cost 1.5 MB for a command line that only this package writes.
    values.update(zip(rest[::2], rest[1::2], strict=False))
    until_pid, nice = values["--until-pid"], values["--nice"]
    stdin_fd = 0 if _is_pipe(0) else None
    has_no_end = stdin_fd is None and until_pid == "0"
    is_wrong = is_wrong or not values["--directory"] or has_no_end
    if is_wrong or not until_pid.isdecimal() or not nice.isdecimal():
        sys.stderr.write(f"usage: {USAGE}\nIt needs a PID, or a pipe as standard input.\n")
        return 2
    os.nice(int(nice))
    _be_batch()
    root = Path(values["--directory"])
    bell = WakeupFifo(root, stdin_fd=stdin_fd, until_pid=int(until_pid) or None)
    Persister(root, bell, rescue_at_end=is_rescuing).run()
    return 0


def _is_pipe(fd: int) -> bool:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
