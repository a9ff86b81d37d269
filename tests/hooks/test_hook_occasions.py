"""What in a ledger hooks are run for."""

from supervisor.core.entries.attempt import (
    AttemptEndedEntry,
    AttemptStartedEntry,
    AttemptUnwatchedEntry,
)
from supervisor.core.entries.decision import DecisionEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.run import SupervisorStartedEntry
from supervisor.core.entries.saves import CheckpointRemovedEntry, CheckpointVerdictEntry
from supervisor.core.entries.telling import HookFailedEntry
from supervisor.core.vocabulary import Action, Failure, RunState, StopSource
from supervisor.hooks.facts import FACTS
from supervisor.hooks.occasions import HookOccasions


def told(*entries: Entry) -> HookOccasions:
    """The occasions of these entries."""
    occasions = HookOccasions()
    for entry in entries:
        occasions.note(entry)
    return occasions


def valid(step: int | None, fingerprint: str = "a", path: str = "", **more: bool) -> Entry:
    """A verdict: the checkpoint is valid."""
    facts = {"valid": True, "own_run": True, **more}
    return CheckpointVerdictEntry(
        path=path or f"/run/checkpoint-{step}", step=step, fingerprint=fingerprint,
        proof="hashes", **facts,
    )  # fmt: skip


def started(attempt: int) -> AttemptStartedEntry:
    """An attempt that was launched from nothing."""
    return AttemptStartedEntry(
        attempt=attempt, pid=1, start_ticks=1, command=("a",), checkpoint=None, log_offset=0,
        log_inode=0,
    )  # fmt: skip


END = AttemptEndedEntry(
    attempt=2, code=1, outcome=75, signal=None, failure=Failure.PREEMPTED, reason="it ended",
    action=Action.RESUME_LATER, step=40, stop_requested=StopSource.SIGTERM, saved=True,
)  # fmt: skip


def test_the_end_of_an_attempt() -> None:
    """The code is the one that the trainer itself says."""
    one = told(END).last["attempt_ended"]
    assert one.key == "attempt 2"
    assert one.facts == {
        "attempt": 2, "step": 40, "exit_code": 75, "signal": None, "failure": "preempted",
        "action": "resume_later", "reason": "it ended", "stop": "SIGTERM", "saved": True,
    }  # fmt: skip


def test_the_end_of_an_attempt_that_nobody_saw() -> None:
    """Its code is not known. One that cannot be ended has not ended."""
    gone = told(AttemptUnwatchedEntry(attempt=3, step=7, how="gone"))
    assert gone.last["attempt_ended"].facts == {"attempt": 3, "step": 7}
    assert not told(AttemptUnwatchedEntry(attempt=3, how="survives")).last


def test_each_proven_checkpoint_is_an_occasion_once() -> None:
    """One that is written anew is another; a verdict that is repeated is not."""
    first = told(valid(10))
    assert first.last["checkpoint_proven"].facts == {
        "attempt": None, "checkpoint": "/run/checkpoint-10", "step": 10, "proof": "hashes",
    }  # fmt: skip
    before = first.last["checkpoint_proven"]
    first.note(valid(10))
    assert first.last["checkpoint_proven"] is before
    first.note(valid(10, "b"))
    assert first.last["checkpoint_proven"].key != before.key


def test_a_checkpoint_is_told_with_the_last_attempt() -> None:
    """Also where it is proven after that attempt's end."""
    occasions = told(started(2), valid(10))
    assert occasions.last["checkpoint_proven"].facts["attempt"] == 2
    occasions.note(END)
    occasions.note(valid(20))
    assert occasions.last["checkpoint_proven"].facts["attempt"] == 2
    occasions.note(started(3))
    occasions.note(valid(30))
    assert occasions.last["checkpoint_proven"].facts["attempt"] == 3


def test_only_valid_checkpoints_of_this_run_are_occasions() -> None:
    """What another run wrote is not this one's to copy."""
    assert not told(valid(10, own_run=False), valid(20, valid=False)).last


def test_an_older_checkpoint_is_no_occasion() -> None:
    """A survey records several with the newest first. In another directory steps begin anew."""
    occasions = told(valid(20), valid(10))
    assert occasions.last["checkpoint_proven"].facts["step"] == 20
    occasions.note(valid(10, path="/run/stage-2/checkpoint-10"))
    assert occasions.last["checkpoint_proven"].facts["step"] == 10
    occasions.note(valid(None, path="/run/ckpt.pt"))
    assert occasions.last["checkpoint_proven"].facts["checkpoint"] == "/run/ckpt.pt"


def test_after_a_rollback_an_earlier_step_is_the_newest() -> None:
    """The later checkpoints were set aside."""
    occasions = told(valid(20), valid(30))
    occasions.note(CheckpointRemovedEntry(path="/run/checkpoint-30"))
    occasions.note(valid(25))
    assert occasions.last["checkpoint_proven"].facts["step"] == 25


def test_a_held_and_a_finished_run() -> None:
    """Each hold is another occasion; a pause is none."""
    held = DecisionEntry(state=RunState.HELD, failure=Failure.EXCEPTION, reason="three times")
    occasions = told(END, held)
    assert occasions.last["held"].facts == {
        "attempt": 2, "state": "held", "failure": "exception", "reason": "three times",
    }  # fmt: skip
    before = occasions.last["held"].key
    occasions.note(DecisionEntry(state=RunState.STUCK))
    assert occasions.last["held"].key != before
    assert occasions.last["held"].facts["state"] == "stuck"
    assert "finished" in told(DecisionEntry(state=RunState.COMPLETED)).last
    assert not told(DecisionEntry(state=RunState.BACKOFF), DecisionEntry(state="new")).last


def test_a_supervisor_sees_to_its_own_occasions() -> None:
    """An earlier one saw to its own; checkpoints are known all the same."""
    occasions = told(END, valid(10), HookFailedEntry(hook="held", reason="why"))
    assert occasions.failures == {"held": "why"}
    occasions.note(SupervisorStartedEntry())
    assert not occasions.last
    assert not occasions.failures
    occasions.note(valid(10))
    assert not occasions.last


def test_each_fact_is_told() -> None:
    """None is named that the page and the variables do not have."""
    occasions = told(END, valid(10), DecisionEntry(state=RunState.HELD))
    named = {fact for one in occasions.last.values() for fact in one.facts}
    assert named <= set(FACTS)
