"""A trainer without a supervisor, killed at each system call; its own persister saves the rest."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from supervisor.torch import settle
from supervisor.torch.place import own_root
from tests.chaos.conftest import PARTS, Count, pick
from tests.chaos.driver import Order, Report
from tests.chaos.injection import Strike, Tracer, kills
from tests.chaos.nursery import Trainer
from tests.chaos.trainee import resumed, uninterrupted
from tests.chaos.workbench import SIGKILLED

pytestmark = pytest.mark.usefixtures("strace")


def run(out: Path, log: Path, strike: Strike | None) -> tuple[Report | None, int | None, Tracer]:
    """A save and a snapshot in the middle of a run; its report, its exit code, and the tracer."""
    shutil.rmtree(out, ignore_errors=True)
    trainer = Trainer(Order("in the middle", out, None), log)
    try:
        trainer.strike(strike)
        report = trainer.go_on()
        return report, trainer.exit_code, trainer.let_go()
    finally:
        trainer.kill()


def judge(out: Path) -> str | None:
    """What is wrong once the next attempt has settled the memory; None if nothing is."""
    if problems := settle(out):
        return f"{problems}"
    root, _ = own_root(out)
    if root.exists():
        return f"{root} is left"
    newest = survey(SurveyRequest(out, existing="use", quiet=True)).newest_valid
    # 7: the persister had pinned its slot, so 9 was written over 8.
    if newest is None or newest.step not in (7, 8, 9, 10):
        return f"the newest is {newest and newest.step}"
    if resumed(newest.path) != uninterrupted():
        return f"from {newest.name} on the weights differ"
    return None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", PARTS)
def test_killed_at_every_system_call(part: int, tmp_path: Path, record_property: Count) -> None:
    """A kill at any call loses at most two snapshots and a persist; memory is empty after it."""
    out, log = tmp_path / "out", tmp_path / "strace.log"
    report, code, tracer = run(out, log, None)
    assert report is not None
    assert (report.digest, code, judge(out)) == (uninterrupted(), 0, None)
    calls: Counter[str] = tracer.calls()
    problems = {}
    struck = 0
    for strike in [Strike("write", 1, "signal=SIGKILL"), *pick(kills(calls), part)]:
        _, code, _ = run(out, log, strike)
        struck += code == SIGKILLED
        problem = judge(out)
        if problem is not None:
            problems[str(strike)] = problem
    assert not problems, "\n".join(f"{one}: {why}" for one, why in problems.items())
    assert struck > 0
    record_property("a trainer without a supervisor killed at a system call", struck)
