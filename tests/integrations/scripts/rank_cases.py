"""Two ranks with a library's save, and stops that reach both, one, or one too late. Prints JSON."""

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

HEARTBEATS = Path(os.environ["SUPERVISOR_HEARTBEAT"])
WORDS = HEARTBEATS / "next-save.json"
GO = HEARTBEATS / "go"
PATIENCE_S = 60.0
PHASE_AT, STOP_AT, SAVES_AT = 56, 72, 96
SLOW = b"s"


class Library:
    """A library that saves."""

    def save(self, path: str) -> None:
        """Save; slowly, if it is told to."""
        while path == "out/slow" and not GO.exists():
            time.sleep(0.005)

    def load(self, path: str) -> None:
        """Load."""


class Rank:
    """One process that saves when it is told to, and answers."""

    def __init__(self, local_rank: int, world_size: int) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self.pid = os.fork()
        if self.pid:
            return
        # As in a process of its own: the launcher made it, and it has trained for a while.
        os.environ.update(
            LOCAL_RANK=str(local_rank), LOCAL_WORLD_SIZE="2", WORLD_SIZE=str(world_size)
        )
        from _train_supervisor.integrations import library_saves, sign_of_life

        ranks = world_size if world_size > 1 else 2
        saves = library_saves.LibrarySaves("accelerate", lambda: "library 1",
                                           lambda *_: None, lambda _: ranks)  # fmt: skip
        saves.wrap(Library, "save", "load")
        sign = sign_of_life.of_process()
        assert sign is not None
        step = sign_of_life.at_first_step()
        assert step is not None
        os.write(answers, b".")
        while command := os.read(commands, 1):
            Library().save("out/slow" if command == SLOW else "out/1")
            step()
            os.write(answers, b".")
        os._exit(9)

    def begins(self) -> None:
        """Wait until it gives signs."""
        os.read(self._answers, 1)

    def begins_to_save(self, command: bytes = b".") -> None:
        """Have it save."""
        os.write(self._commands, command)

    def saves(self) -> int | None:
        """Have it save; how it ended, None if it goes on."""
        self.begins_to_save()
        return self.answer()

    def answer(self) -> int | None:
        """How it ended after a save, None if it goes on."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            if _is_readable(self._answers):
                os.read(self._answers, 1)
                return None
            time.sleep(0.005)
        sys.exit("no answer")

    def is_told(self) -> None:
        """Send SIGTERM, and wait until it has been heard."""
        os.kill(self.pid, signal.SIGTERM)
        self.comes_to(STOP_AT, 2)

    def comes_to(self, at: int, value: int) -> None:
        """Wait until it says this."""
        path = HEARTBEATS / f"sign-{self.pid}"
        end = time.monotonic() + PATIENCE_S
        while path.read_bytes()[at] != value and time.monotonic() < end:
            time.sleep(0.005)

    @property
    def code(self) -> int | None:
        """How it has ended, None while it lives."""
        found, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if found else None

    def is_ended(self) -> None:
        """Kill it, if it has not ended."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            return


def _is_readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def expect(since_s: float | None = None, grace_s: float = 9000.0) -> None:
    """Say what the daemon says at a stop."""
    now = time.monotonic()
    facts = {"interval_s": 5000.0, "since_s_monotonic": since_s or now, "grace_s": grace_s}
    WORDS.write_text(json.dumps(facts | {"stop_s_monotonic": now}))


def together(*ranks: Rank) -> list[int | None]:
    """Have ranks save at the same time; how each has ended."""
    for rank in ranks:
        rank.begins_to_save()
    return [rank.answer() for rank in ranks]


def case(name: str, world_size: int = 2, kept: tuple[str, ...] = ()) -> list[Any]:
    """Two ranks; what came of their saves from the third one on, in the order of `name`."""
    for path in HEARTBEATS.glob("*"):
        if path != WORDS and path.name not in kept:
            path.unlink()
    first, second = Rank(0, world_size), Rank(1, world_size)
    for rank in (first, second):
        rank.begins()
    both = (first,) if name == "first_alone_saves" else (first, second)
    for _ in range(2):
        assert [rank.saves() for rank in both] == [None] * len(both)
    found: list[Any] = []
    if name in ("both", "other_nodes", "first_alone_saves"):
        first.is_told()
        second.is_told()
        found = together(*both)
    if name == "one":
        first.is_told()
        found = [first.saves(), second.saves(), second.saves(), first.saves()]
    if name == "one_too_late":
        first.is_told()
        found = [second.saves()]
        second.is_told()
        found += [first.saves(), *together(second, first)]
    if name == "one_too_early":
        # It decides while the other one has not been told, and both go on to the next save.
        first.is_told()
        found = [first.saves()]
        second.is_told()
        found += [second.saves(), *together(second, first)]
    if name == "one_writes_longer":
        first.is_told()
        second.is_told()
        first.begins_to_save(SLOW)
        first.comes_to(PHASE_AT, 1)
        second.begins_to_save()
        second.comes_to(SAVES_AT, 3)
        time.sleep(0.6)
        os.kill(first.pid, signal.SIGTERM)  # as torchrun does once another rank has ended
        time.sleep(0.2)
        found = [first.code, second.code]
        if found == [None, None]:
            GO.touch()
            found += [first.answer(), second.answer()]
    if name == "a_long_save":
        first.begins_to_save(SLOW)
        time.sleep(0.8)
        GO.touch()
        first.answer()
        # Due 0.6 s before the grace is over, which is less than the slower rank's save takes.
        expect(since_s=time.monotonic() - 4997.6, grace_s=3.0)
        for rank in both:
            os.kill(rank.pid, signal.SIGTERM)
        time.sleep(1.0)
        found = [rank.code for rank in both]
    for rank in (first, second):
        rank.is_ended()
    return found


def main() -> None:
    expect()
    names = ("both", "one", "one_too_late", "one_too_early", "first_alone_saves",
             "one_writes_longer")  # fmt: skip
    found = {name: case(name) for name in names}
    found["a_long_save"] = case("a_long_save")
    expect()
    found["other_nodes"] = case("other_nodes", 4)
    (HEARTBEATS / "leave-1-0-3").write_text("3")  # the step at which an adapter's ranks leave
    found["both_beside_an_adapter"] = case("both", kept=("leave-1-0-3",))
    print(json.dumps(found))


main()
