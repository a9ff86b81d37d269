"""A run is carried through every kind of death to the same result."""

import signal

import pytest

from tests.e2e.conftest import HANG, Supervised, uninterrupted


@pytest.mark.parametrize(
    "kind",
    ["kill", "stop", pytest.param("hang", marks=pytest.mark.slow), "raise", "exit3", "exit75"],
)
def test_one_death(run: Supervised, kind: str) -> None:
    """After one death in the middle the run ends with the weights of an uninterrupted one."""
    run.configure(env={"FAULTS": f'{{"1": [25, "{kind}"]}}'}, watch=HANG)
    assert run.run() == 0
    assert run.weight() == uninterrupted()
    ends = run.entries("attempt_ended")
    assert len(ends) == 2
    starts = run.entries("attempt_started")
    assert starts[1]["checkpoint"]["step"] in (20, 25)
    hung = kind in ("stop", "hang")
    assert (ends[0]["failure"] == "hang") is hung
    assert run.strays() == []


def test_all_of_them_and_a_preemption(run: Supervised) -> None:
    """Six deaths and a SIGTERM to the supervisor leave the weights of an uninterrupted run."""
    faults = (
        '{"1": [12, "kill"], "2": [18, "raise"],'
        ' "4": [33, "stall"], "5": [35, "stop"], "6": [37, "exit9"]}'
    )
    run.configure(hold=25, env={"FAULTS": faults}, watch=HANG)
    run.start()
    run.wait_step(15, attempt=3)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert run.entries("attempt_ended")[-1]["saved"] is True
    assert run.run() == 0
    assert run.weight() == uninterrupted()


def test_hang_leaves_stacks(run: Supervised) -> None:
    """The incident of a hang shows where every thread stood."""
    run.configure(env={"FAULTS": '{"1": [15, "stall"]}'}, watch=HANG)
    assert run.run() == 0
    (incident,) = [e for e in run.entries("incident") if e["failure"] == "hang"]
    folder = run.paths.incidents / f"{incident['id']:04d}"
    stacks = "".join(path.read_text() for path in folder.glob("stacks-*.txt"))
    assert "trainer.py" in stacks
    assert "in fail" in stacks
    assert (folder / "log-tail.txt").read_text().endswith("step 15 loss " + stacks_tail(run))


def stacks_tail(run: Supervised) -> str:
    """The end of the line that was printed last before the hang."""
    line = next(line for line in run.log.splitlines() if line.startswith("step 15 "))
    return line.removeprefix("step 15 loss ") + "\n"


def test_goodput_adds_up(run: Supervised) -> None:
    """All time is booked, replayed steps too, and goodput is training time over total time."""
    run.configure(env={"FAULTS": '{"1": [19, "kill"]}', "STEP_S": "0.1"})
    assert run.run() == 0
    account = run.status["goodput"]
    parts = sum(v for k, v in account.items() if k.endswith("_s") and k != "total_s")
    assert parts == pytest.approx(account["total_s"], abs=0.1)
    assert account["replaying_s"] > 0.2
    assert account["goodput"] == pytest.approx(account["training_s"] / account["total_s"], abs=0.01)
