"""The trainer struck at each system call of its checkpoints: killed, or given a disk error."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.conftest import PARTS, Count, pick
from tests.chaos.driver import Order, Report
from tests.chaos.injection import Strike, Tracer, errors, kills
from tests.chaos.nursery import Trainer
from tests.chaos.place import Place
from tests.chaos.trainee import uninterrupted
from tests.chaos.workbench import SIGKILLED

pytestmark = pytest.mark.usefixtures("strace")


@dataclass(frozen=True, slots=True)
class Range:
    """The steps that may be the newest in both tiers, and on the disk alone."""

    newest: tuple[int | None, ...]
    durable: tuple[int | None, ...] = (None,)


# Never less than the previous snapshot: after a last snapshot of step 8 the run resumes there.
SCENARIOS = {
    "from the beginning": Range((None, 2, 3, 4, 5)),
    "in the middle": Range((8, 9, 10)),
    "with another shape": Range((8, 9, 10)),
    "after a death": Range((8, 9, 10)),
    "without memory": Range((8, 9), (8, 9)),
}


class Arena:
    """Runs one trainer after another in the same place."""

    def __init__(self, place: Place, log: Path) -> None:
        self.place = place
        self.log = log

    def run(self, scenario: str, strike: Strike | None) -> tuple[Report | None, int | None, Tracer]:
        """Run a trainer; its report, its exit code, and the tracer."""
        self.place.clear()
        trainer = Trainer(Order(scenario, self.place.out, self.place.memory), self.log)
        try:
            trainer.strike(strike)
            report = trainer.go_on()
            return report, trainer.exit_code, trainer.let_go()
        finally:
            trainer.kill()

    def record(self, scenario: str) -> Counter[str]:
        """The calls of a run without a fault."""
        report, code, tracer = self.run(scenario, None)
        assert report is not None
        assert (report.digest, code) == (uninterrupted(), 0)
        return tracer.calls()

    def judge(self, scenario: str, *, was_refused: bool = False) -> str | None:
        """What is wrong afterwards; if memory `was_refused`, saves went to the disk."""
        steps = SCENARIOS[scenario]
        return (
            self.place.judge(steps.newest, (None, *steps.newest) if was_refused else steps.durable)
            or self.place.judge_next_attempt()
            or self.place.judge_rest()
        )


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory, memory_folder: Path) -> Arena:
    """A disk and a tmpfs."""
    folder = tmp_path_factory.mktemp("arena")
    return Arena(Place(folder / "out", memory_folder / "snapshots"), folder / "strace.log")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_every_system_call(
    scenario: str, part: int, arena: Arena, record_property: Count
) -> None:
    """A whole snapshot is left, not before the previous one, and the next attempt resumes."""
    problems = {}
    struck = 0
    for strike in pick(kills(arena.record(scenario)), part):
        _, code, _ = arena.run(scenario, strike)
        struck += code == SIGKILLED
        problem = arena.judge(scenario)
        if problem is not None:
            problems[str(strike)] = problem
    assert not problems, "\n".join(f"{one}: {why}" for one, why in problems.items())
    record_property("the trainer killed at a system call", struck)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_error_at_every_call(
    scenario: str, part: int, arena: Arena, record_property: Count
) -> None:
    """No failed snapshot or save ends or changes the run."""
    problems = {}
    count = 0
    for strike in pick(errors(arena.record(scenario)), part):
        report, code, tracer = arena.run(scenario, strike)
        struck = tracer.struck()
        # The socket is the test's own gate, and site-packages are imports of the interpreter.
        if "<socket:" in struck or "site-packages" in struck:
            continue
        count += 1
        if report is None or code != 0:
            problems[str(strike)] = f"it ended with {code} of {struck}"
        elif report.digest != uninterrupted():
            problems[str(strike)] = f"other weights, of {struck}"
        elif problem := arena.judge(scenario, was_refused=True):
            problems[str(strike)] = f"{problem}, of {struck}"
    assert not problems, "\n".join(f"{one}: {why}" for one, why in problems.items())
    record_property("the trainer told ENOSPC or EIO", count)
