"""What the kernel tells about a process that may hang: its state, and where it waits.

It must not read cmdline, environ or maps: those wait for a lock that a hung process may hold.
"""

import signal
from pathlib import Path

_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "in uninterruptible sleep (a disk, a network file system or a driver does not answer)",
    "T": "stopped by a signal (SIGSTOP, SIGTSTP); SIGCONT makes it go on",
    "t": "stopped by a debugger",
    "Z": "ended, not yet reaped",
    "I": "idle",
}
_STATUS_LINES = ("Name", "State", "PPid", "Threads", "VmRSS", "SigPnd", "ShdPnd", "SigBlk")


def describe(pid: int) -> str:
    """Some lines about one process: state in words, waiting channel, kernel stack where allowed."""
    folder = Path("/proc") / str(pid)
    status = _status(folder)
    if not status:
        return f"process {pid}: gone\n"
    letter = status.get("State", "?")[0]
    lines = [
        f"process {pid} ({status.get('Name', '?')}): {_STATES.get(letter, 'in state ' + letter)}",
        *(f"  {name}: {status[name]}" for name in _STATUS_LINES if name in status),
    ]
    for thread in sorted((folder / "task").glob("*"), key=lambda path: int(path.name))[:64]:
        state = _status(thread).get("State", "gone")
        lines.append(f"  thread {thread.name}: {state}, waits in {_text(thread / 'wchan') or '-'}")
        lines += [f"    {frame}" for frame in _text(thread / "stack").splitlines()]
    return "\n".join(lines) + "\n"


def is_python(pid: int) -> bool:
    """Whether its executable is named like a Python interpreter."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.startswith(("python", "pypy"))
    except OSError:
        return False  # ended, or not ours


def catches_stack_signal(pid: int) -> bool:
    """Whether the process handles SIGUSR2. One that lost its handler by exec would die of it."""
    mask = _status(Path("/proc") / str(pid)).get("SigCgt", "0")
    return bool(int(mask, 16) >> (signal.SIGUSR2 - 1) & 1)


def _status(folder: Path) -> dict[str, str]:
    entries = (line.partition(":") for line in _text(folder / "status").splitlines())
    return {name: value.strip() for name, _, value in entries}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""  # ended meanwhile, or for root only
