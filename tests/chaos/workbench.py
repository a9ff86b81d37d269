"""Persists of a real persister in one place, one after another, each struck and judged."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from supervisor.memory.slots import read_whole
from tests.chaos.injection import Strike
from tests.chaos.place import Place
from tests.chaos.service import Service
from tests.chaos.templates import BASE, FIRST, SECOND, Templates

SIGKILLED = -9


@dataclass(frozen=True, slots=True)
class Case:
    """`disk`: the template whose checkpoints are there (None: none).

    `durable`: the steps that may be the newest on the disk after a kill.
    """

    disk: str | None
    durable: tuple[int | None, ...]
    options: tuple[str, ...] = ()


CASES = {
    "a further save": Case("plain", (BASE, FIRST)),
    "the first save": Case(None, (None, FIRST)),
    "over the same name": Case("again", (FIRST,)),
    "a rescue at the end": Case("plain", (BASE, FIRST), ("--rescue-at-end",)),
}


class Bench:
    """Runs one persist after another in the same place; each can be struck."""

    def __init__(self, place: Place, templates: Templates, log: Path) -> None:
        self.place = place
        self.templates = templates
        self.log = log

    def start(self, case: Case, **environment: str) -> Service:
        """A persister that is idle."""
        self.place.clear()
        if case.disk is not None:
            self.place.put_disk(getattr(self.templates, case.disk))
        return Service(self.place.memory, self.log, *case.options, **environment)

    def save(self, service: Service, index: int) -> None:
        """Do what a trainer does: write a wanted snapshot, and ring."""
        self.place.put_slot(self.templates.plain, index)
        service.ring()

    def record(self, case: Case) -> Counter[str]:
        """The calls of a persist without a fault."""
        service = self.start(case)
        try:
            service.strike(None)
            self.save(service, 0)
            assert service.wait_for_result()
            assert service.end() == (0, "")
            return service.let_go().calls()
        finally:
            service.kill()

    def kill(self, case: Case, strike: Strike) -> tuple[bool, str | None]:
        """Whether the strike killed the persister, and what is wrong after it."""
        service = self.start(case)
        try:
            service.strike(strike)
            self.save(service, 0)
            service.wait_for_result()
            code, _ = service.end()
            service.let_go()
        finally:
            service.kill()
        problem = self.place.judge((FIRST,), case.durable)
        if problem is None and self.place.has_bell:
            problem = self.finish()
        return code == SIGKILLED, problem or self.place.judge_rest()

    def finish(self) -> str | None:
        """Start the next persister, as the launcher does: the wanted save arrives."""
        wholes = read_whole(self.place.memory)
        service = Service(self.place.memory, self.log)
        try:
            if wholes:
                service.ring()
                service.wait_for_result()
            ended = service.end()
        finally:
            service.kill()
        if ended != (0, ""):
            return f"the next persister ended with {ended}"
        newest = wholes[0].snapshot.step if wholes else FIRST
        return self.place.judge((newest,), (newest,))

    def fail(self, case: Case, strike: Strike) -> tuple[bool, str | None]:
        """Whether the save failed, and what is wrong after the next save."""
        service = self.start(case)
        try:
            service.strike(strike)
            self.save(service, 0)
            # A persister that could not see the slot sleeps until the next ring.
            lives = service.wait_for_result(patience_s=3.0)
            # Each persist has its own thread, in which strace would count anew.
            struck = service.let_go().struck()
            board = service.board
            has_failed = board is None or not any(one.ok for one in board.results)
            left: list[str] = []
            if lives:
                self.save(service, 1)
                service.wait(lambda: service.is_dead or _has_saved(service, SECOND))
            left = self.place.staged()
            lives = not service.is_dead
            code, said = service.end()
        finally:
            service.kill()
        if code == 0 and lives:
            problem = self.place.judge((SECOND,), (SECOND,))
            if left:
                problem = problem or f"{left} stay as long as it lives, after {struck}"
        elif str(self.place.out) in struck:
            problem = f"it ended with {code} after {struck}: {said}"
        else:  # a tmpfs returns no such error; the launcher would start the next persister
            problem = self.finish()
        return has_failed, problem or self.place.judge_rest()


def _has_saved(service: Service, step: int) -> bool:
    board = service.board
    return board is not None and any(one.ok and one.step == step for one in board.results)
