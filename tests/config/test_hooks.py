"""The section `hooks`: a list of words or a mapping, a deadline, and what is refused."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from supervisor.config.hook_section import (
    DEADLINES_S,
    HOOKS,
    HookCommand,
    HooksConfig,
    deadline_s,
)
from supervisor.config.kept import read_kept
from supervisor.config.load import parse_config
from supervisor.config.problems import ConfigError
from supervisor.config.schema import config_schema

BOTH = "hooks: {held: [sh, 5, 1e-4], finished: {command: [a], timeout: 90s}}"


def parsed(text: str) -> HooksConfig:
    """The section of a configuration."""
    return parse_config(f"command: [x]\n{text}\n", Path("x.yaml")).config.hooks


def test_both_forms() -> None:
    """Numbers stay as they were typed. A hook without `timeout` has the deadline of its kind."""
    given = parsed(BOTH).given
    assert given == {
        "held": HookCommand(command=("sh", "5", "1e-4")),
        "finished": HookCommand(command=("a",), timeout=90.0),
    }
    assert deadline_s("held", given["held"]) == DEADLINES_S["held"]
    assert deadline_s("finished", given["finished"]) == 90.0
    assert not parsed("").given


def test_the_kept_copy_is_read_the_same() -> None:
    """By a daemon; a key of a later version in a hook does not keep it from starting."""
    config = parse_config(f"command: [x]\n{BOTH}\n", Path("x.yaml")).config
    assert read_kept(config.model_dump_json().encode()) == (config, ())
    later = config.model_dump_json().replace('"timeout":90.0', '"timeout":90.0,"retries":3')
    assert read_kept(later.encode()) == (config, ("hooks.finished.retries",))


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("hooks: {held: 'curl -X POST x'}", "hooks.held", "must be a list, each word an item"),
        ("hooks: {held: 'curl -X POST x'}", "hooks.held", "[curl, -X, POST, x]"),
        ("hooks: {held: {command: 'a b'}}", "hooks.held", "[a, b]"),
        ("hooks: {held: []}", "hooks.held", "must begin with a program"),
        ("hooks: {held: ['', a]}", "hooks.held", "must begin with a program"),
        ("hooks: {held: 5}", "hooks.held", "must be a list of words"),
        ("hooks: {held: {timeout: 5s}}", "hooks.held", "must be a list of words"),
        ("hooks: {held: {command: [a], timout: 5s}}", "hooks.held.timout", "'timeout'"),
        ("hooks: {held: {command: [a], timeout: 0.5s}}", "hooks.held.timeout", "1s to 24h"),
        ("hooks: {held: {command: [a], timeout: 25h}}", "hooks.held.timeout", "1s to 24h"),
        ("hooks: {holds: [a]}", "hooks.holds", "'held'"),
        ('hooks: {held: ["a\\0b"]}', "hooks.held.command[0]", "NUL"),
    ],
)
def test_what_is_refused(text: str, key: str, says: str) -> None:
    """With the key, the line, and what to write."""
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    (problem,) = caught.value.problems
    assert (problem.key, problem.line) == (key, 2)
    assert says in str(problem)


@pytest.mark.parametrize("text", [BOTH, "hooks: {held: null}", "hooks: {}"])
def test_the_schema_accepts_what_the_loader_does(text: str) -> None:
    """For editors."""
    parsed(text)
    jsonschema.validate(yaml.safe_load(f"command: [x]\n{text}"), config_schema())


@pytest.mark.parametrize(
    "text", ["hooks: {held: a b}", "hooks: {held: []}", "hooks: {held: {timeout: 5s}}"]
)
def test_the_schema_refuses_what_the_loader_does(text: str) -> None:
    """An editor marks it."""
    with pytest.raises(ConfigError):
        parsed(text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(f"command: [x]\n{text}"), config_schema())


def test_numbers_in_each_hook_stay_as_typed() -> None:
    """`document.py` knows the names of the hooks by itself."""
    for name in HOOKS:
        assert parsed(f"hooks: {{{name}: [a, 1e-4]}}").given[name].command == ("a", "1e-4")
