"""The table of rules as data: each has a line that it matches, a source, and advice to read."""

import pytest

from supervisor.core.vocabulary import Failure
from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import Diagnosis, ExitEvidence
from supervisor.diagnosis.log_line import plain_text
from supervisor.diagnosis.python_traceback import exception_of
from supervisor.diagnosis.rules.advice import ADVICE
from supervisor.diagnosis.rules.rule import Calls, Rule, Weight, matches
from supervisor.diagnosis.rules.table import TABLE

NAMES = [f"{number}-{rule.failure}" for number, rule in enumerate(TABLE)]
ALL_ADVICE = [rule.advice for rule in TABLE if rule.advice is not None] + list(ADVICE.values())
SENTENCE_WORDS = 25
_MAIN = ('  File "/job/train.py", line 120, in <module>', "    main()")
_LOADING = (
    '  File "/job/train.py", line 81, in load_checkpoint',
    "    state = torch.load(path)",
    '  File "/env/lib/python3.11/site-packages/torch/serialization.py", line 1258, in load',
    "    return _legacy_load(opened_file)",
)
_READING = (
    '  File "/env/site-packages/torch/utils/data/dataloader.py", line 630, in __next__',
    "    data = self._next_data()",
    '  File "/job/dataset.py", line 22, in __getitem__',
    "    return pickle.load(stream)",
)


def ended(rule: Rule) -> Diagnosis:
    """The diagnosis of a failed attempt that ended with the rule's example.

    The example stands below the calls that the rule asks for.
    """
    lines = [rule.example]
    if rule.only_unhandled:
        lines = ["Traceback (most recent call last):", *_MAIN, rule.example]
    elif rule.only_raised and exception_of(rule.example) is None:
        # The message of an exception that begins on the line below its name.
        lines = ["Traceback (most recent call last):", *_MAIN, "RuntimeError: ", rule.example]
    if rule.calls in (Calls.LOADING, Calls.READING):
        calls = _LOADING if rule.calls is Calls.LOADING else _READING
        lines = ["Traceback (most recent call last):", *_MAIN, *calls, rule.example]
    return diagnose(ExitEvidence(1, None, lines))


@pytest.mark.parametrize("rule", TABLE, ids=NAMES)
def test_an_example_is_matched_by_its_rule(rule: Rule) -> None:
    """The example is one line, and no earlier rule of another failure takes it."""
    assert rule.example.strip()
    assert rule.example.isprintable()
    hits = [hit.rule for hit in matches(plain_text(rule.example), TABLE)]
    assert rule in hits
    first = next(hit for hit in hits if hit.calls is rule.calls or hit.calls is Calls.ANY)
    assert first.failure is rule.failure


ALONE = [rule for rule in TABLE if not rule.only_after_a_beginning]


@pytest.mark.parametrize("rule", ALONE, ids=[str(n) for n in range(len(ALONE))])
def test_an_example_is_diagnosed(rule: Rule) -> None:
    """Alone at the end of a failed attempt it gives its rule's failure; a cascade gives none."""
    found = ended(rule)
    if rule.weight is Weight.CASCADE:
        assert found.failure is Failure.UNKNOWN
        return
    assert (found.failure, found.action) == (rule.failure, rule.action)
    if rule.failure is not Failure.UNKNOWN:
        assert any(rule.example[:60].strip() in line for line in found.evidence)


@pytest.mark.parametrize("rule", TABLE, ids=NAMES)
def test_a_rule_says_where_its_line_was_seen(rule: Rule) -> None:
    """`owner/repo#number` or `owner/repo, file`: somebody can look the shape up."""
    assert rule.source.strip()
    assert rule.source == rule.source.strip()


@pytest.mark.parametrize("advice", ALL_ADVICE, ids=range(len(ALL_ADVICE)))
def test_advice_can_be_read_and_typed(advice: object) -> None:
    """A sentence has 25 words at most, and a command is one line."""
    sentence, command = getattr(advice, "sentence", ""), getattr(advice, "command", "")
    assert sentence.strip()
    assert all(len(one.split()) <= SENTENCE_WORDS for one in sentence.split(". "))
    assert "\n" not in command
    assert "\n" not in sentence
