"""The words of a run: known words are members, words of another version stay as they were."""

import copy
import json
import pickle

import pytest

from supervisor.core.vocabulary import Action, Failure, Nature, Relaunch, RunState, StopSource, Tier

pytestmark = pytest.mark.timeout(20)


@pytest.mark.parametrize("kind", [Failure, Action, Tier])
def test_a_word_of_another_version_stays_as_it_is(
    kind: type[Failure] | type[Action] | type[Tier],
) -> None:
    """An unknown word is kept, shown and written as it was read, and is no known member."""
    word = kind("of_another_version")
    assert word == "of_another_version"
    assert f"{word}" == word.value == "of_another_version"
    assert json.dumps([word]) == '["of_another_version"]'
    assert word == kind("of_another_version")
    assert word not in set(kind)
    assert copy.deepcopy(word) == pickle.loads(pickle.dumps(word)) == word
    assert kind(3) == "3"


def test_a_known_word_is_its_member() -> None:
    """A known word is read as the member itself, so that identity comparisons work."""
    assert Failure("killed") is Failure.KILLED
    assert Action("resume_later") is Action.RESUME_LATER


@pytest.mark.parametrize(
    ("on_record", "shown", "is_user"),
    [
        ("intent", "`supervisor stop`", True),
        ("SIGINT", "SIGINT", True),
        ("SIGTERM", "SIGTERM", False),
        ("SIGUSR2", "SIGUSR2", False),
        ("the launcher's death", "the launcher's death", False),
    ],
)
def test_who_asked_for_a_stop(on_record: str, shown: str, is_user: bool) -> None:
    """The recorded word decides, for any signal's name, and is written as it was."""
    by = StopSource(on_record)
    assert (by.shown, by.is_user) == (shown, is_user)
    assert json.dumps(by) == json.dumps(on_record)


@pytest.mark.parametrize("failure", [*Failure, Failure("of_another_version")])
def test_every_failure_has_a_nature(failure: Failure) -> None:
    """A failure of another version has the nature of an unknown death."""
    assert failure.nature in Nature
    assert failure.known in set(Failure)


@pytest.mark.parametrize("action", [*Action, Action("of_another_version")])
def test_every_action_says_when_the_next_launch_comes(action: Action) -> None:
    """An action of another version launches again, as after an ordinary death."""
    assert action.relaunch in Relaunch
    assert action.known in set(Action)
    assert action.needs_human == (action in {Action.HOLD, Action.EXCLUDE})


@pytest.mark.parametrize("action", Action)
def test_an_action_is_read_as_it_was_told(action: Action) -> None:
    """`wait` is written as `hold`, and the recorded state tells the two apart."""
    state = RunState.WAITING if action is Action.WAIT else RunState.HELD
    assert Action.read(str(action.told), str(state)) is action
    assert (action.told is action) == (action is not Action.WAIT)


def test_what_is_not_said_is_not_read() -> None:
    """A record without the word has no action."""
    assert Action.read(None, "waiting") is None
