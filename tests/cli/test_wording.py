"""Sentences of `events` and `status` by which a reader decides."""

from __future__ import annotations

import pytest

from supervisor.cli.show.ledger_sentences import sentence
from supervisor.cli.show.summary import failure_text
from supervisor.core.entries.reading import read_entry
from supervisor.core.json_form import from_json
from supervisor.core.status import Status


def test_going_back_is_told_with_what_goes() -> None:
    """The sentence has the step, and the checkpoints that are set aside for it."""
    entry = {"type": "going_back", "step": 500, "later": ["/c/checkpoint-600", "/m/checkpoint-600"]}
    assert sentence(read_entry(entry)) == (
        "The run goes back to step 500; set aside: checkpoint-600, checkpoint-600."
    )


def test_a_bad_checkpoint_is_told_with_its_reason() -> None:
    """The sentence has the checkpoint's new place, and the reason."""
    entry = {"type": "checkpoint_removed", "path": "/c/a.pt", "why": "invalid", "to": "/s/a.pt"}
    assert sentence(read_entry({**entry, "reason": "it is cut short"})) == (
        "a.pt was set aside: invalid (it is cut short), moved to /s/a.pt."
    )


def test_a_pointer_is_told_with_where_it_leads() -> None:
    """The sentence has the pointer's new target, or the pointer's new place without one."""
    entry = {"type": "pointer_set", "path": "/c/latest", "from": "step40", "to": "step30"}
    assert (
        sentence(read_entry(entry))
        == "The trainer's pointer latest names step30 now: step40 was set aside."
    )
    assert sentence(read_entry({**entry, "to": None, "place": "/s/latest"})) == (
        "The trainer's pointer latest was set aside with step40, its target, moved to /s/latest."
    )


@pytest.mark.parametrize(("tier", "told"), [("memory", ", the snapshot in memory"), ("disk", "")])
def test_an_attempt_from_memory_is_told_so(tier: str, told: str) -> None:
    """The sentence names the tier, because the disk has no checkpoint from memory."""
    source = {"path": "/x/checkpoint-7", "step": 7, "tier": tier}
    entry = {"type": "attempt_started", "attempt": 2, "pid": 9, "checkpoint": source}
    assert (
        sentence(read_entry(entry))
        == f"Attempt 2 started from checkpoint-7 (step 7){told} (pid 9)."
    )


@pytest.mark.parametrize(
    ("failure", "action", "state", "told"),
    [
        ("disk_full", "hold", "waiting", "disk_full → waiting"),
        ("disk_full", "hold", "held", "disk_full → hold"),
        ("hang", "restart", "running", "hang → restart"),
        ("hang", None, "running", "hang"),
    ],
)
def test_a_failure_is_told_with_what_was_done(
    failure: str, action: str | None, state: str, told: str
) -> None:
    """The text shows that the run waits, although the rule for a full disk is `hold`."""
    status = from_json(Status, {"failure": failure, "action": action, "state": state})
    assert status is not None
    assert failure_text(status) == told
