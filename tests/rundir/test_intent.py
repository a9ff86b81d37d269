"""The operator's intent survives bad files."""

from pathlib import Path

import pytest

from supervisor.core.vocabulary import Intent
from supervisor.rundir.intent import read_intent, write_intent


def test_nothing_said_is_run(tmp_path: Path) -> None:
    """Without a file the run goes on."""
    assert read_intent(tmp_path / "intent.json").intent is Intent.RUN


def test_said_twice_is_two_wishes(tmp_path: Path) -> None:
    """The same intent again has another id: `resume` twice lifts two holds."""
    path = tmp_path / "intent.json"
    first, second = write_intent(path, Intent.RUN), write_intent(path, Intent.RUN)
    assert first.id != second.id
    assert read_intent(path) == second


@pytest.mark.parametrize("text", ["", "{", "[]", '{"intent": "dance"}', '{"intent": 3}', "null"])
def test_an_unreadable_wish_is_a_hold(tmp_path: Path, text: str) -> None:
    """Training against an intent that nobody can read would be worse than waiting."""
    path = tmp_path / "intent.json"
    path.write_text(text)
    assert read_intent(path).intent is Intent.HOLD
