"""The words of a run: known ones are members, those of another version stay what they were."""

import copy
import json
import pickle

import pytest

from supervisor.core.vocabulary import Action, Failure, Tier

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
