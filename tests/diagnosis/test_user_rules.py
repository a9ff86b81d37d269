"""Rules of the user's own: read from a file, tried first, and never able to hold up the daemon."""

import time
from pathlib import Path

import pytest

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, ExitCode, Failure
from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import Diagnosis, ExitEvidence
from supervisor.diagnosis.rules_file import (
    FAILURES,
    RulesFileError,
    near_name,
    parse_rules,
    read_rules,
)
from supervisor.diagnosis.user_rules import DIAGNOSIS_CPU_S, UserRules

LICENSE = """
- pattern: license server .* refused
  unless: retry in
  failure: license_expired
  action: hold
  after_first_step: backoff
  example: "LicenseError: license server lic1 refused seat 3"
  advice: {sentence: Renew the license., command: lmutil lmstat -a}
"""
SLOW = r"""
- pattern: '(\w+\s?)*stop='
  failure: slow_one
  action: restart
  example: x stop=
"""
SLOW_LINE = "loss " * 12 + "a" * 40 + "!"


def rules(text: str) -> UserRules:
    """The rules of a file with this text."""
    return parse_rules(text, "my_rules.yaml")


def rule(pattern: str, example: str, failure: str = "mine", action: str = "hold") -> str:
    """The text of one rule."""
    return (
        f"- {{pattern: '{pattern}', failure: {failure}, action: {action}, example: '{example}'}}\n"
    )


def ended(
    users: UserRules,
    *lines: str,
    code: int | None = 1,
    signal: int | None = None,
    seen: bool = True,
) -> Diagnosis:
    """The diagnosis of these last lines with the user's rules."""
    return diagnose(
        ExitEvidence(code if signal is None else None, signal, lines, first_step_seen=seen), users
    )


def traceback(*last: str) -> list[str]:
    """An unhandled traceback that ends with these lines."""
    return [
        "Traceback (most recent call last):",
        '  File "/job/train.py", line 3, in <module>',
        "    go()",
        *last,
    ]


@pytest.mark.parametrize("prefix", ["", "[rank2]: ", "2025-02-01 10:11:12,345 ", "WARNING: "])
def test_a_line_is_named_by_the_users_rule(prefix: str) -> None:
    """Labels, stamps and levels do not matter; name, action and advice are the rule's."""
    found = ended(rules(LICENSE), f"{prefix}license server lic9 REFUSED seat 12", seen=False)
    assert (found.failure, found.action) == ("license_expired", Action.HOLD)
    assert found.advice == Advice("Renew the license.", "lmutil lmstat -a")
    assert "license expired" in found.reason


def test_another_action_holds_after_the_first_step() -> None:
    """`after_first_step` replaces the action once the attempt has made a step."""
    line = "license server lic9 refused seat 12"
    assert ended(rules(LICENSE), "step 8 loss 2.1", line).action is Action.BACKOFF
    assert ended(rules(LICENSE), line, seen=False).action is Action.HOLD


def test_unless_excludes_innocent_lines() -> None:
    """A line that `unless` matches is not the rule's."""
    found = ended(rules(LICENSE), "license server lic9 refused seat 12, retry in 5 s")
    assert found.failure is Failure.UNKNOWN


def test_the_users_rule_comes_before_a_built_in_one() -> None:
    """On a line that a built-in rule knows too, the user's is tried first; in a traceback too."""
    users = rules(rule("No space left on device.*scratch", "No space left on device: /scratch/a"))
    line = "OSError: [Errno 28] No space left on device: '/scratch/9'"
    for lines in ([line], traceback(line)):
        assert ended(users, *lines).failure == "mine"
        assert ended(UserRules(), *lines).failure is Failure.DISK_FULL
    assert ended(users, *traceback(line)).frame == "train.py:<module>"


def test_a_line_below_the_exception_is_tried_too() -> None:
    """A message of several lines may have the user's words below its first line."""
    users = rules(rule("quota of project", "quota of project 3 is spent"))
    found = ended(
        users, *traceback("RuntimeError: CUDA out of memory", "quota of project 9 is spent")
    )
    assert found.failure == "mine"


def test_the_users_rule_is_a_cause_like_others() -> None:
    """The machine's own word outranks it, and a step after the line refutes it."""
    users = rules(rule("my rig complains", "my rig complains"))
    oom = "slurmstepd: error: Detected 1 oom_kill event in StepId=1130.0. Some of the step tasks"
    assert ended(users, "my rig complains", oom + " have been OOM Killed.").failure is (
        Failure.HOST_OUT_OF_MEMORY
    )
    assert ended(users, "step 1: loss 2", "my rig complains", "step 9: loss 2").failure is (
        Failure.UNKNOWN
    )


@pytest.mark.parametrize(
    ("code", "signal", "failure"),
    [
        (0, None, Failure.COMPLETED),
        (75, None, Failure.PREEMPTED),
        (78, None, Failure.CONFIGURATION),
        (None, 9, Failure.KILLED),
    ],
)
def test_no_rule_overrules_the_exit(code: int | None, signal: int | None, failure: Failure) -> None:
    """An exit that says what happened is not asked from the log."""
    users = rules(rule("my rig complains", "my rig complains"))
    assert ended(users, "my rig complains", code=code, signal=signal).failure is failure


def test_exclude_is_taken_at_its_word() -> None:
    """A device that the user's rule names is excluded although the process printed on."""
    users = rules(rule("lane .* dark", "lane 3 dark", action="exclude"))
    found = ended(users, "lane 7 dark", *traceback("ValueError: no data"))
    assert (found.failure, found.action) == ("mine", Action.EXCLUDE)


def test_a_slow_pattern_is_switched_off() -> None:
    """The diagnosis ends in bounded time, goes on without the rule, and tells a line."""
    users = rules(LICENSE + SLOW)
    lines = [SLOW_LINE] * 2000 + ["license server lic9 refused seat 12"]
    begun = time.process_time()
    assert ended(users, *lines, seen=False).failure == "license_expired"
    assert time.process_time() - begun < 4 * DIAGNOSIS_CPU_S
    ((number, line),) = users.slow()
    assert number == 2
    assert SLOW_LINE.startswith(line)


WRONG = {
    "": "expected a list of rules",
    "pattern: a": "expected a list of rules",
    "- [a": "is not YAML",
    "- 2026-99-99": "not readable YAML",
    "- a": "rule 1, pattern: expected keys",
    "- {pattern: a, failure: b, action: hold}": "rule 1, example: is missing",
    "- {failure: b, action: hold, example: a}": "rule 1, pattern: is missing",
    "- {pattern: '(', failure: b, action: hold, example: a}": "rule 1, pattern: not a regular",
    "- {pattern: 7, failure: b, action: hold, example: a}": "rule 1, pattern: expected text",
    "- {pattern: a, unless: '[', failure: b, action: hold, example: a}": "rule 1, unless: not a",
    "- {pattern: a, failure: B c, action: hold, example: a}": "rule 1, failure: expected a word",
    "- {pattern: a, failure: no, action: hold, example: a}": "rule 1, failure: expected a word",
    "- {pattern: a, failure: completed, action: hold, example: a}": "never read from a log",
    "- {pattern: a, failure: hang, action: hold, example: a}": "never read from a log",
    "- {pattern: a, failure: b, action: wait, example: a}": "rule 1, action: expected restart",
    "- {pattern: a, failure: b, action: hol, example: a}": "did you mean 'hold'?",
    "- {pattern: a, failure: b, action: hold, after_first_step: x, example: a}": "after_first_step",
    "- {pattern: a, failure: b, action: hold, example: b}": "rule 1, example: the pattern does not",
    "- {pattern: a, failure: b, action: hold, exampl: a}": "(did you mean 'example'?)",
    "- {pattern: a, failure: b, action: hold, example: a, advice: go}": "rule 1, advice: expected",
    "- {pattern: a, failure: b, action: hold, example: a, advice: {sentence: x, c: y}}": "no such",
    r'- {pattern: a, failure: b, action: hold, example: a, advice: {sentence: "x\ny"}}': "one line",
    r'- {pattern: a, failure: b, action: hold, example: "a\nb"}': "must be one line",
    r"- {pattern: '^\[rank0', failure: b, action: hold, example: '[rank0]: a'}": "without stamps",
    rule("a", "a") + rule("ab", "ab"): "rule 2, example: rule 1 matches it first",
    SLOW.replace("x stop=", f"'{SLOW_LINE}'"): "takes too long on it",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_is_refused(text: str) -> None:
    """Each error has the file, the rule's number and the key; the exit code is 78."""
    with pytest.raises(RulesFileError) as caught:
        rules(text)
    assert WRONG[text] in caught.value.message
    assert caught.value.message.startswith("my_rules.yaml")
    assert caught.value.code == ExitCode.CONFIGURATION


def test_all_problems_are_listed_at_once() -> None:
    """A user corrects a file in one go."""
    with pytest.raises(RulesFileError, match="3 problems") as caught:
        rules(
            "- {pattern: '(', failure: b, action: hold, example: a}\n- {pattern: a, example: a}\n"
        )
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("how", ["missing", "directory", "bytes"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, how: str) -> None:
    """No file, a directory, and bytes that are no text."""
    path = tmp_path / "rules.yaml"
    if how == "directory":
        path.mkdir()
    elif how == "bytes":
        path.write_bytes(b"- pattern: \xff\xfe")
    with pytest.raises(RulesFileError, match=r"rules\.yaml: (?:cannot be read|is not UTF-8)"):
        read_rules(str(path))


def test_without_a_file_there_are_no_rules() -> None:
    """The configuration names none."""
    assert read_rules(None).rules == ()


def test_names_that_are_nearly_ours() -> None:
    """A name that was mistyped is told from a new one."""
    assert near_name("cuda_out_of_memry") == Failure.CUDA_OUT_OF_MEMORY
    assert near_name("license_expired") is None
    assert all(near_name(name) is None for name in FAILURES)


def test_the_example_of_the_documentation_is_valid() -> None:
    """The file in docs/restart-policy.md can be copied as it stands."""
    page = (Path(__file__).parents[2] / "docs/restart-policy.md").read_text("utf-8")
    section = page.partition("## Your own rules")[2]
    text = next(b for b in section.split("```yaml\n") if b.startswith("- ")).partition("```")[0]
    names = [rule.failure for rule in rules(text).rules]
    assert names == ["license_expired", Failure.GPU_LOST]
