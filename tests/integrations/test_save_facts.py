"""What the adapters say of saves: how often, what is not restored, and how a stop goes."""

import json
from types import SimpleNamespace

import pytest

from supervisor.integrations.save_facts import describe_saves
from supervisor.integrations.trainer_facts import save_every, what_is_lost


class Told:
    """A training that keeps what is said of it."""

    def __init__(self, *, may_stop: bool = True) -> None:
        self.may_stop = may_stop
        self.facts: dict[str, object] = {}
        self.sentences: list[str] = []

    def describe(self, **facts: object) -> None:
        """Keep the facts, which have to be JSON."""
        json.dumps(facts)
        self.facts.update(facts)

    def tell(self, sentence: str) -> None:
        """Keep the sentence."""
        self.sentences.append(sentence)


def arguments(**values: object) -> SimpleNamespace:
    """Training arguments of transformers, as far as saves go."""
    return SimpleNamespace(**{"save_strategy": "steps", "save_steps": 500, **values})


def state(**values: object) -> SimpleNamespace:
    """A Trainer's state, as far as saves go."""
    return SimpleNamespace(
        **{"max_steps": 1000, "num_train_epochs": 3, "save_steps": 500, **values}
    )


@pytest.mark.parametrize(
    ("said", "trainer_state", "steps"),
    [
        ({}, {}, 500),
        ({"save_steps": 0.1}, {"save_steps": 100}, 100),
        ({"save_steps": 0.1}, {"save_steps": None}, 100),
        ({"save_strategy": "no"}, {}, 0),
        ({"save_strategy": "epoch"}, {}, 334),
        ({"save_strategy": "epoch"}, {"num_train_epochs": 0}, None),
        ({"save_strategy": "best"}, {}, None),
        ({"save_strategy": SimpleNamespace(value="no")}, {}, 0),
    ],
)
def test_how_often_a_trainer_saves(
    said: dict[str, object], trainer_state: dict[str, object], steps: int | None
) -> None:
    """In steps, whatever the strategy is; where only a metric decides, it is not known."""
    assert save_every(arguments(**said), state(**trainer_state)) == steps


def test_a_stop_is_the_scripts_where_the_adapter_may_not_stop() -> None:
    """The description says who sees to a stop."""
    for may_stop, word in ((True, "saves"), (False, "script")):
        told = Told(may_stop=may_stop)
        describe_saves(told, lambda: (500, None, []))  # type: ignore[arg-type]
        assert told.facts["stop"] == word
        assert told.facts["save_every"] == 500


def test_an_error_in_the_library_costs_the_facts_alone() -> None:
    """A version that has other names is supervised as well, and the lack is told."""
    told = Told()
    describe_saves(told, lambda: (save_every(SimpleNamespace(), state()), None, []))  # type: ignore[arg-type]
    assert told.facts["save_every"] is None
    assert told.facts["stop"] == "saves"
    assert "AttributeError" in told.sentences[0]


def test_weights_alone_are_told_as_not_restored() -> None:
    """`save_only_model` leaves the optimizer out."""
    assert "no optimizer" in what_is_lost(arguments(save_only_model=True))[0]
    assert what_is_lost(arguments()) == []
