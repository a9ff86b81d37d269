"""The live display of `supervisor run`: a process of its own that only reads files and draws.

The launcher starts it by path and ends it with SIGTERM; whatever happens to it, training goes on.
"""

import argparse
import errno
import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if __name__ == "__main__":
    # Started by path in an environment where the package may not be installed.
    sys.path.append(str(Path(__file__).resolve().parents[3]))

from rich.console import Console
from rich.live import Live

import supervisor.cli.runtime_directories

# `read_record` imports these, and the module above, only once the run has ended. An upgrade may
# have replaced the files by then, so they are imported now.
import supervisor.cli.show.slurm_queue
import supervisor.cli.still_running  # noqa: F401
from supervisor.cli.record import read_record
from supervisor.cli.show.display import render
from supervisor.cli.show.terminal import strip_controls

_REDRAW_S = 0.25
_TAIL_BYTES = 1 << 15


class LogEnd:
    """The last lines of a growing log, read again only when its size changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = -1
        self._lines: list[str] = []

    def lines(self) -> list[str]:
        """The last lines without control sequences; empty ones left out."""
        try:
            size = self._path.stat().st_size
            if size == self._size:
                return self._lines
            with self._path.open("rb") as file:
                file.seek(max(0, size - _TAIL_BYTES))
                data = file.read(_TAIL_BYTES)
        except OSError:
            # The log does not exist yet, or a network file system stalls: keep the last lines.
            return self._lines
        self._size = size
        pieces = data.decode("utf-8", "replace").split("\n")
        if size > _TAIL_BYTES:
            del pieces[0]  # cut somewhere in the middle
        self._lines = [line for piece in pieces if (line := strip_controls(piece).rstrip())]
        return self._lines


def watch(run_dir: Path, console: Console) -> None:
    """Draw until SIGTERM, SIGHUP or the launcher ends. Raises OSError when the terminal goes."""
    log = LogEnd(run_dir / "train.log")
    launcher = os.getppid()
    is_terminal = os.isatty(sys.stdout.fileno())
    with Live(console=console, auto_refresh=False, redirect_stdout=False) as live:
        drawn: object = None
        place: object = None
        while True:
            if is_terminal and not os.isatty(sys.stdout.fileno()):
                # rich would take stdout for a file now, and write nothing, so no write would fail.
                raise OSError(errno.EIO, "the terminal is gone")
            record = read_record(run_dir)
            lines = log.lines()
            # A countdown moves once a second; otherwise only what changed is drawn again.
            facts = (record.status, lines[-1:], len(lines), int(time.time()), console.size)
            if facts != drawn:
                drawn = facts
                daemon = record.status.pids.daemon
                if place not in (None, (console.size, daemon)):
                    # The terminal wrapped its lines anew, or the launcher printed a line about the
                    # daemon. So the old picture has moved. Scroll it away, and draw from the top.
                    console.file.write("\n" * console.size.height + "\x1b[H\x1b[J")
                place = (console.size, daemon)
                picture = render(record, lines, console, now_s=time.time(), final=False)
                live.update(picture, refresh=True)
            ended = signal.sigtimedwait({signal.SIGTERM, signal.SIGHUP}, _REDRAW_S)
            if ended is not None and ended.si_signo == signal.SIGHUP:
                return
            if ended is not None or os.getppid() != launcher:
                break
        picture = render(
            read_record(run_dir),
            log.lines(),
            console,
            now_s=time.time(),
            final=True,
        )
        live.update(picture, refresh=True)


@contextmanager
def no_echo_of_controls(fd: int) -> Iterator[None]:
    """Keep the terminal from printing `^C` into the display, and undo that at the end."""
    try:
        before = termios.tcgetattr(fd)
    except termios.error:
        yield  # not a terminal
        return
    # A background process that changes the terminal is stopped by SIGTTOU unless it ignores it.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    quiet = [*before]
    quiet[3] = before[3] & ~termios.ECHOCTL
    termios.tcsetattr(fd, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        try:
            termios.tcsetattr(fd, termios.TCSANOW, before)
        except termios.error as error:
            # tcsetattr(3) says EIO when the terminal hung up; main() treats both alike.
            raise OSError(*error.args) from None


def main() -> None:
    """Draw the run given by --run-dir on the terminal at stdout."""
    parser = argparse.ArgumentParser(prog="supervisor view")
    parser.add_argument("--run-dir", type=Path, required=True)
    run_dir: Path = parser.parse_args().run_dir
    # Ctrl-C is for the launcher. `watch` waits for the other two signals with sigtimedwait.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
    try:
        with no_echo_of_controls(sys.stdout.fileno()):
            watch(run_dir, Console())
            sys.stdout.flush()
    except OSError:
        # EIO, EPIPE: the terminal is gone. Nobody is there to be told, and the run goes on.
        os._exit(0)


if __name__ == "__main__":
    main()
