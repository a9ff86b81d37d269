"""What each writer writes, over what, and what must hold at every moment."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import aftermath
from tests.chaos.aftermath import BASE, NEW, OLD, Judge, judge_checkpoints
from tests.chaos.contents import Made
from tests.chaos.crash_states import Limits, enumerate_states
from tests.chaos.operations import Recording
from tests.chaos.recorder import record

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A writer of `writers.py`, the state before it, and the judge of the state after a crash."""

    writer: str
    plant: Callable[[Path], None]
    judge: Judge


SCENARIOS = {
    "a further checkpoint": Scenario(
        "write_checkpoint",
        aftermath.plant_checkpoints(BASE),
        judge_checkpoints([BASE, NEW], {"committed": [NEW]}, never_lost={"": BASE}),
    ),
    "the first checkpoint": Scenario(
        "write_checkpoint",
        aftermath.plant_nothing,
        judge_checkpoints([None, NEW], {"committed": [NEW]}),
    ),
    "over an existing name": Scenario(
        "write_checkpoint",
        aftermath.plant_checkpoints(BASE, OLD),
        judge_checkpoints([OLD, NEW], {"committed": [NEW]}, never_lost={"committed": OLD}),
    ),
    "over the only one": Scenario(
        "write_checkpoint",
        aftermath.plant_checkpoints(OLD),
        judge_checkpoints([OLD, NEW], {"committed": [NEW]}, never_lost={"committed": OLD}),
    ),
    "persisting a snapshot": Scenario(
        "persist_snapshot", aftermath.plant_snapshot, aftermath.judge_persisted
    ),
    "a rollback": Scenario(
        "roll_back",
        aftermath.plant_checkpoints(BASE, OLD),
        judge_checkpoints(
            [OLD, BASE], {"set aside": [BASE, NEW], "committed": [NEW]}, never_lost={"": OLD}
        ),
    ),
    "a rollback, to the run directory": Scenario(
        "roll_back_as_the_daemon",
        aftermath.plant_checkpoints(BASE, OLD),
        judge_checkpoints(
            [OLD, BASE], {"set aside": [BASE, NEW], "committed": [NEW]}, never_lost={"": OLD}
        ),
    ),
    "pruning": Scenario(
        "remove_old",
        aftermath.plant_checkpoints(*(Made(step, 1) for step in (100, 200, 300, 400))),
        judge_checkpoints([BASE], {"pruned": [BASE]}, never_lost={"": Made(300, 1)}),
    ),
    "pruning, by way of the run directory": Scenario(
        "remove_old_as_the_daemon",
        aftermath.plant_checkpoints(*(Made(step, 1) for step in (100, 200, 300, 400))),
        judge_checkpoints([BASE], {"pruned": [BASE]}, never_lost={"": Made(300, 1)}),
    ),
    "the ledger": Scenario("keep_ledger", aftermath.plant_nothing, aftermath.judge_ledger),
    "an intent": Scenario("say_intent", aftermath.plant_nothing, aftermath.judge_intent),
}


@dataclass
class Outcome:
    """The number of states, and the problems of those that break a promise."""

    states: int = 0
    problems: Counter[str] = field(default_factory=Counter)


def trace(scenario: Scenario, place: Path, *faults: str) -> Recording:
    """Plant, run the writer under strace, and return the recording."""
    root = place / "root"
    root.mkdir()
    scenario.plant(root)
    program = [sys.executable, "-P", "-m", "tests.chaos.writers", scenario.writer, str(root)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return record(root, [*program, *faults], scratch=place, environment=environment)


def try_states(
    recording: Recording, judge: Judge, place: Path, *, limits: Limits | None = None, most: int = 0
) -> Outcome:
    """Put every state of a recording onto the disk and judge it; stop after `most` problems."""
    outcome = Outcome()
    for state in enumerate_states(recording, limits):
        outcome.states += 1
        aftermath.materialise(state.tree, place)
        problem = judge(place, state.marks)
        if problem is not None:
            outcome.problems[problem] += 1
            if most and outcome.problems.total() >= most:
                break
    return outcome


def describe(recording: Recording) -> Sequence[str]:
    """The operations as text, for a failure's report."""
    return [
        f"{index}: {type(one).__name__} {recording.names.get(getattr(one, 'inode', -1), '')}"
        f" {getattr(one, 'name', getattr(one, 'text', ''))}"
        for index, one in enumerate(recording.operations)
    ]
