"""What the signs of other processes tell: whose helper this one is, and whether all ranks leave.

Ranks that save together may leave after the same save, or none of them: a rank that leaves alone
would let the others wait for it. This asks files alone.
"""

from __future__ import annotations

import os
import sys

from ..worker.environment import number_of, ranks_here
from ..worker.page_layout import RANK_PREFIX
from ..worker.processes import read_stat, start_ticks
from ..worker.sign_layout import SIGN, SIGN_BYTES, SIGN_MAGIC, SIGN_PREFIX, STOP, STOP_WAITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SAVES, SAVES_AT_STOP, LONGEST_SAVE_NS = 12, 13, 14
"""Words behind those of the layout, for the ranks among themselves: how many saves this process has
told, how many when the stop came, and how long the longest one was."""
_MOST_ANCESTORS = 32
_PID_AT = 8
_LEAVES, _STAYS = b"leave", b"stay"


def is_helper(directory: str) -> bool:
    """Whether a process that trains has started this one."""
    trains = _pids_with_files(directory)
    launcher = os.environ.get("SUPERVISOR_LAUNCHER", "").partition(":")[0]
    pid = os.getppid()
    for _ in range(_MOST_ANCESTORS):
        if pid in trains:
            return True
        if pid <= 1 or str(pid) == launcher:
            return False
        stat = read_stat(pid)
        if stat is None:
            return False
        pid = int(stat[1][1])
    return False


def is_child_of_multiprocessing() -> bool:
    """Whether a Python process made this one: that one is told of a stop, and ends this one."""
    module = sys.modules.get("multiprocessing.process")
    return module is not None and module.parent_process() is not None


def _pids_with_files(directory: str) -> set[int]:
    """The processes that give signs of life or have a heartbeat page."""
    pids = set()
    for name in os.listdir(directory):
        if name.startswith(SIGN_PREFIX) and name[len(SIGN_PREFIX) :].isdigit():
            pids.add(int(name[len(SIGN_PREFIX) :]))
        elif name.startswith(RANK_PREFIX):
            head = _read(os.path.join(directory, name))[_PID_AT : _PID_AT + 4]
            pids.add(int.from_bytes(head, "little"))
    return pids


def do_all_leave(directory: str, words: memoryview, ranks: int) -> bool:
    """Whether all ranks leave after the save that this one has just completed.

    The first rank that asks decides for all, in a file. They leave if each has taken part in the
    saves, and has had the signal before it completed this one. Raises OSError.
    """
    ranks = _in_all(ranks)
    if ranks == 1:
        return True
    number = words[SAVES]
    if ranks > ranks_here() or words[SAVES_AT_STOP] >= number:
        return False
    again = number_of("TORCHELASTIC_RESTART_COUNT") or 0
    attempt = number_of("SUPERVISOR_ATTEMPT") or 0
    path = os.path.join(directory, f"save-leave-{attempt}-{again}-{number}")
    if not os.path.exists(path):
        decision = _LEAVES if _may_all_leave(directory, number, ranks) else _STAYS
        _decide(path, decision)
    return _read(path) == _LEAVES


def have_all_saved(directory: str, number: int, ranks: int) -> bool:
    """Whether no living rank still writes its part of the save with this number. Raises OSError.

    torchrun signals the other ranks when one ends.
    """
    if _in_all(ranks) == 1:
        return True
    return all(page[SAVES] >= number for _, page in _living_ranks(directory))


def longest_save_s(directory: str) -> float:
    """The longest save that a living rank has told of: all ranks find the same. Raises OSError."""
    return max((page[LONGEST_SAVE_NS] / 1e9 for _, page in _living_ranks(directory)), default=0.0)


def _in_all(ranks: int) -> int:
    return max(ranks, number_of("WORLD_SIZE", "SLURM_STEP_NUM_TASKS") or 1)


def _may_all_leave(directory: str, number: int, ranks: int) -> bool:
    # Many scripts save on rank 0 alone. From the second save on it shows who takes part.
    if number < 2:
        return False
    found: dict[int, bool] = {}
    for local_rank, page in _living_ranks(directory):
        is_told = page[STOP] == STOP_WAITS and page[SAVES_AT_STOP] < number
        found[local_rank] = found.get(local_rank, True) and is_told and page[SAVES] >= number - 1
    return len(found) == ranks and all(found.values())


def _living_ranks(directory: str) -> Iterator[tuple[int, memoryview]]:
    """The local rank and the words of each living process that gives signs and is no helper."""
    attempt = number_of("SUPERVISOR_ATTEMPT") or 0
    for name in os.listdir(directory):
        if not name.startswith(SIGN_PREFIX):
            continue
        page = _read(os.path.join(directory, name))
        if len(page) != SIGN_BYTES:
            continue
        magic, _, pid, local_rank, ticks, of_attempt, *_ = SIGN.unpack_from(page)
        if magic == SIGN_MAGIC and of_attempt == attempt and start_ticks(pid) == ticks:
            yield local_rank, memoryview(page).cast("Q")


def _decide(path: str, decision: bytes) -> None:
    """Write the decision unless another rank has written one: link(2) takes no second file."""
    stage = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}-{os.getpid()}")
    fd = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.write(fd, decision)
        finally:
            os.close(fd)
        try:
            os.link(stage, path)
        except FileExistsError:
            return
    finally:
        os.unlink(stage)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(SIGN_BYTES)
    except FileNotFoundError:
        return b""  # its process has ended just now
