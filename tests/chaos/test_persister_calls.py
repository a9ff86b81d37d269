"""The persister struck at each system call of a persist: killed, or given a disk error."""

import pytest

from tests.chaos.conftest import PARTS, Count, pick
from tests.chaos.injection import errors, kills
from tests.chaos.workbench import CASES, Bench

pytestmark = pytest.mark.usefixtures("strace")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", CASES)
def test_killed_at_every_system_call(
    name: str, part: int, bench: Bench, record_property: Count
) -> None:
    """Both tiers are whole afterwards, and the next persister does the wanted save."""
    case = CASES[name]
    problems = {}
    struck = 0
    for strike in pick(kills(bench.record(case)), part):
        was_killed, problem = bench.kill(case, strike)
        struck += was_killed
        if problem is not None:
            problems[str(strike)] = problem
    assert not problems, "\n".join(f"{one}: {why}" for one, why in problems.items())
    assert struck > 0
    record_property("the persister killed at a system call", struck)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["a further save", "over the same name"])
def test_a_bad_disk_at_every_call(
    name: str, part: int, bench: Bench, record_property: Count
) -> None:
    """The persister lives on, nothing is torn, and the next save is written from scratch."""
    case = CASES[name]
    problems = {}
    count = failed = 0
    for strike in pick(errors(bench.record(case)), part):
        has_failed, problem = bench.fail(case, strike)
        count += 1
        failed += has_failed
        if problem is not None:
            problems[str(strike)] = problem
    assert not problems, "\n".join(f"{one}: {why}" for one, why in problems.items())
    assert failed > 0
    record_property("the persister told ENOSPC or EIO", count)
