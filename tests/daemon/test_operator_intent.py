"""The operator's intent when its file cannot be read."""

import json
import os
from pathlib import Path

import pytest

from supervisor.core.vocabulary import Intent
from supervisor.daemon.look import operator_intent as module
from supervisor.daemon.look.operator_intent import OperatorIntent
from supervisor.rundir import intent as intents
from supervisor.rundir.intent import write_intent
from supervisor.rundir.paths import RunPaths


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """The paths of a run directory."""
    found = RunPaths(tmp_path)
    found.state_dir.mkdir()
    return found


def unreadable(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the intent file unreadable."""
    path.unlink(missing_ok=True)
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:

        def fail(path: Path) -> None:
            raise OSError(5 if kind == "EIO" else 13, os.strerror(5 if kind == "EIO" else 13))

        monkeypatch.setattr(module, "read_intent", fail)


KINDS = ["directory", "fifo", "EIO", "EACCES"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("intent", [Intent.RUN, Intent.HOLD, Intent.STOP])
def test_the_last_known_wish_stands(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch, kind: str, intent: Intent
) -> None:
    """An unreadable intent brings one message and a warning; a later intent is obeyed."""
    said: list[str] = []
    write_intent(paths.intent, intent)
    operator = OperatorIntent(paths, lambda line, _: said.append(line))
    assert operator.intent is intent
    with monkeypatch.context() as patch:
        unreadable(paths.intent, kind, patch)
        assert [operator.changed() for _ in range(3)] == [None, None, None]
        assert operator.intent is intent
        assert len(said) == 1
        assert f"the last known intent stands ({intent})" in said[0]
        assert operator.warning == said[0]
    if paths.intent.is_dir():
        paths.intent.rmdir()
    write_intent(paths.intent, Intent.STOP)
    assert operator.changed() is Intent.STOP
    assert operator.warning is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_daemon_knows_what_the_one_before_heard(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The status has the last intent; the same intent, readable again, is not a new one."""
    paths.status.write_text(json.dumps({"intent": "hold"}))
    with monkeypatch.context() as patch:
        unreadable(paths.intent, kind, patch)
        operator = OperatorIntent(paths, lambda line, _: None)
        assert operator.intent is Intent.HOLD
        assert operator.warning is not None
    if paths.intent.is_dir():
        paths.intent.rmdir()
    write_intent(paths.intent, Intent.HOLD)
    assert operator.changed() is None
    write_intent(paths.intent, Intent.HOLD)
    assert operator.changed() is Intent.HOLD  # written anew


def test_what_cannot_be_understood_is_a_hold_and_told(paths: RunPaths) -> None:
    """An unreadable text is a hold: the attempt goes on, and no other begins."""
    said: list[str] = []
    operator = OperatorIntent(paths, lambda line, _: said.append(line))
    paths.intent.write_text("stop!")
    assert operator.changed() is Intent.HOLD
    assert operator.changed() is None
    assert len(said) == 1
    assert "cannot be understood" in said[0]


def test_no_wish_at_all_is_to_run(paths: RunPaths) -> None:
    """Without an intent file the intent is to run."""
    operator = OperatorIntent(paths, lambda line, _: None)
    assert (operator.intent, operator.changed(), operator.warning) == (Intent.RUN, None, None)
    assert intents.last_intent_id(paths.intent) == ""
