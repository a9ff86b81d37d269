"""A trainer in a process of its own, forked from one with torch loaded: 20 ms to its first step.

Its loop uses `supervisor.torch` as any loop does. Before the part that is struck it waits at its
gate, so that strace can attach.
"""

import os
import resource
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import torch
import torch._dynamo  # the first optimizer imports it, which takes a second

from supervisor.memory.space import MemoryRoom
from supervisor.torch import Checkpointer, preparation
from tests.chaos import stopwatch
from tests.chaos.place import environment
from tests.chaos.trainee import STEPS, Trainee

torch.set_num_threads(1)


class Order(NamedTuple):
    """What to do, and where. `memory` is None without a supervisor.

    `kill_after_ns`: nanoseconds into the copy of the struck step. `largest_file`: the largest file
    that this step may write.
    """

    scenario: str
    out: Path
    memory: Path | None
    padding: int = 0
    kill_after_ns: int | None = None
    largest_file: int | None = None


class Report(NamedTuple):
    """How the run ended. `copies_ns`: the duration of each copy into memory."""

    digest: str
    copies_ns: list[int]
    rebuilds: int


def drive(order: Order, gate: Connection) -> None:
    """Train to the end unless the process is killed; the report goes through the gate."""
    if order.memory is not None:
        os.environ |= environment(order.memory, attempt=2)
    SCENARIOS[order.scenario](Drive(order, gate))


class Drive:
    """The loop, with a method for each part in which scenarios differ."""

    def __init__(self, order: Order, gate: Connection) -> None:
        self.order = order
        self.trainee = Trainee(padding=order.padding)
        self.watch = stopwatch.Stopwatch()
        self._gate = gate

    def wait_at_gate(self) -> None:
        """Let the test attach strace."""
        self._gate.send("ready")
        self._gate.recv()

    def open(self) -> Checkpointer:
        """Do what a training script does before its loop."""
        return Checkpointer(self.trainee.sources, directory=self.order.out, snapshot_steps=1)

    def train(self, keep: Checkpointer, until: int, *, save_at: tuple[int, ...] = ()) -> None:
        """Train on, with a snapshot or a save after each step."""
        while self.trainee.step < until:
            step = self.trainee.step + 1
            self.trainee.train(step)
            if step in save_at:
                keep.save(step)
            else:
                keep.snapshot(step)

    def end(self, keep: Checkpointer) -> None:
        """Finish the run without further checkpoints, and report."""
        self.trainee.train(STEPS)
        self._gate.send(Report(self.trainee.digest(), self.watch.copies_ns, keep.rebuilds))


def _from_the_beginning(drive: Drive) -> None:
    """Everything that is done once: layouts, memory, the first snapshots and saves."""
    drive.wait_at_gate()
    keep = drive.open()
    drive.train(keep, 5, save_at=(2, 4))
    drive.end(keep)


def _in_the_middle(drive: Drive) -> None:
    """A save and a snapshot like all others."""
    keep = drive.open()
    drive.train(keep, 8, save_at=(7, 8))
    drive.wait_at_gate()
    drive.train(keep, 10, save_at=(9,))
    drive.end(keep)


def _with_another_shape(drive: Drive) -> None:
    """A state whose layout changes."""
    keep = drive.open()
    drive.train(keep, 8, save_at=(7, 8))
    drive.wait_at_gate()
    drive.trainee.note = list(range(50))
    drive.train(keep, 10, save_at=(9, 10))
    drive.end(keep)


def _after_a_death(drive: Drive) -> None:
    """A next attempt adopts the slots of the previous one."""
    keep = drive.open()
    drive.train(keep, 8, save_at=(7,))
    keep.close()
    drive.wait_at_gate()
    keep = drive.open()
    drive.train(keep, 10, save_at=(9,))
    drive.end(keep)


def _without_memory(drive: Drive) -> None:
    """Without room in memory saves go straight to the disk."""
    preparation.room = lambda *_: MemoryRoom(False, 0, 0, "there is no room")
    keep = drive.open()
    drive.train(keep, 8, save_at=(8,))
    drive.wait_at_gate()
    drive.train(keep, 9, save_at=(9,))
    drive.end(keep)


def _in_the_copy(drive: Drive) -> None:
    """One more snapshot, killed within its copy."""
    keep = drive.open()
    drive.train(keep, 8, save_at=(7, 8))
    drive.wait_at_gate()
    if drive.order.kill_after_ns is not None:
        drive.watch.kill_after(drive.order.kill_after_ns)
    drive.train(keep, 9)
    drive.end(keep)


def _where_no_file_may_grow(drive: Drive) -> None:
    """Without room in memory, files on the disk first end too early, and later do not."""
    preparation.room = lambda *_: MemoryRoom(False, 0, 0, "there is no room")
    keep = drive.open()
    drive.wait_at_gate()
    assert drive.order.largest_file is not None
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (drive.order.largest_file, hard))
    drive.train(keep, 8, save_at=(8,))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    drive.train(keep, 9, save_at=(9,))
    drive.end(keep)


def _whatever_is_written(drive: Drive) -> None:
    """Saves straight to the disk, and then into memory."""
    keep = drive.open()
    room = preparation.room
    preparation.room = lambda *_: MemoryRoom(False, 0, 0, "there is no room")
    drive.train(keep, 6, save_at=(2, 3, 4, 5, 6))
    preparation.room = room
    keep.close()
    keep = drive.open()
    drive.train(keep, 9, save_at=(8,))
    drive.end(keep)


SCENARIOS: dict[str, Callable[[Drive], None]] = {
    "from the beginning": _from_the_beginning,
    "in the middle": _in_the_middle,
    "with another shape": _with_another_shape,
    "after a death": _after_a_death,
    "without memory": _without_memory,
    "in the copy": _in_the_copy,
    "where no file may grow": _where_no_file_may_grow,
    "whatever is written": _whatever_is_written,
}


class _Gate:
    """For a trainer that is not forked: its report goes to its output."""

    def send(self, report: object) -> None:
        """Write the report's digest."""
        sys.stdout.write(getattr(report, "digest", ""))


if __name__ == "__main__":
    drive(Order(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])), _Gate())  # type: ignore[arg-type]
