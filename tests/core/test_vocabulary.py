"""The words of a run: known ones are members, those of another version stay what they were."""

import copy
import json
import pickle

import pytest

from supervisor.core.vocabulary import Action, Failure, StopSource, Tier

pytestmark = pytest.mark.timeout(20)


@pytest.mark.parametrize("kind", [Failure, Action, Tier])
def test_a_word_of_another_version_stays_as_it_is(
    kind: type[Failure] | type[Action] | type[Tier],
) -> None:
    """It is kept, told and written as it was read, and is none of the known ones."""
    word = kind("of_another_version")
    assert word == "of_another_version"
    assert f"{word}" == word.value == "of_another_version"
    assert json.dumps([word]) == '["of_another_version"]'
    assert word == kind("of_another_version")
    assert word not in set(kind)
    assert copy.deepcopy(word) == pickle.loads(pickle.dumps(word)) == word
    assert kind(3) == "3"


def test_a_known_word_is_its_member() -> None:
    """What is read is the member itself, so that it may be told apart by identity."""
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
    """What is on record decides, in any signal's name, and is written as it was."""
    by = StopSource(on_record)
    assert (by.shown, by.is_user) == (shown, is_user)
    assert json.dumps(by) == json.dumps(on_record)
