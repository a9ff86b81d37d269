"""What is ordered and printed about a requeue; and the step of an srun."""

import pytest

from supervisor.slurm import requeue
from supervisor.slurm.allocation import Allocation
from supervisor.slurm.facts import Requeue
from supervisor.slurm.requeue import carry_out, credential_s
from supervisor.slurm.steps import step_of

OWN = Allocation("19", "18_3")


@pytest.fixture(autouse=True)
def _no_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requeue, "configuration", lambda: {"AuthInfo": "cred_expire=5"})


def test_it_is_ordered_once_and_said() -> None:
    """The order names the array's task alone, and the line says what follows."""
    orders: list[list[str]] = []
    outcome = carry_out(OWN, Requeue.ASK, "", lambda words: orders.append(words))
    assert orders == [["scontrol", "requeue", "18_3"]]
    assert outcome.is_requeued
    assert outcome.line == "requeued as job 18_3; SLURM may start it again in about 5 s"


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Requeue.ALREADY, "is requeued already"),
        (Requeue.CANCELLED, "was cancelled, so it is not requeued"),
        (Requeue.FORBIDDEN, "may not be requeued (--no-requeue, or the site's JobRequeue=0)"),
        (Requeue.NO_BATCH, "is no batch job"),
        (Requeue.UNKNOWN, "SLURM does not say"),
    ],
)
def test_nothing_else_orders_anything(verdict: Requeue, words: str) -> None:
    """A job that is cancelled, requeued or forbidden to requeue gets a message and no order."""

    def refuse(command: list[str]) -> str | None:
        raise AssertionError(command)

    outcome = carry_out(OWN, verdict, "supervisor sbatch c.yaml", refuse)
    assert words in outcome.line
    assert outcome.is_requeued is (verdict is Requeue.ALREADY)


def test_one_that_is_pending_already_is_no_failure() -> None:
    """A job that is pending already was requeued by another order: no failure."""
    outcome = carry_out(OWN, Requeue.ASK, "", lambda _: "Job is pending execution for job 19")
    assert outcome.verdict is Requeue.ALREADY
    assert outcome.is_requeued


def test_a_refusal_is_said_with_what_to_type() -> None:
    """The line shows scontrol's answer, and the command to type."""
    outcome = carry_out(OWN, Requeue.ASK, "", lambda _: "Unable to contact slurm controller")
    assert not outcome.is_requeued
    assert "Unable to contact" in outcome.line
    assert outcome.line.endswith("scontrol requeue 18_3")


def test_when_it_may_start() -> None:
    """The job may start after the credential's lifetime, by default 120 s."""
    assert credential_s({"AuthInfo": "socket=/run/munge,cred_expire=30"}) == 30
    assert credential_s({}) == 120


def test_the_step_of_an_srun() -> None:
    """The step is found by its srun's pid; batch and extern steps never match."""
    text = (
        "StepId=19.batch UserId=0 State=RUNNING SrunHost:Pid=(null):0\n"
        "StepId=19.0 UserId=0 State=RUNNING Name=a b SrunHost:Pid=n1:4242\n"
        "StepId=19.1 UserId=0 State=RUNNING SrunHost:Pid=n1:4243\n"
    )
    assert step_of(text, "19", 4243) == "19.1"
    assert step_of(text, "19", 4244) is None
    assert step_of(text, "19", 0) is None
