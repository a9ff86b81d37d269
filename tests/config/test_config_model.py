"""The values of a valid configuration, for the daemon and for editors."""

import json
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
import yaml

from supervisor.config.arguments import expand_arguments
from supervisor.config.exit_code_rules import ExitRuleWord
from supervisor.config.load import load_config
from supervisor.config.model import RunConfig
from supervisor.config.schema import config_schema
from supervisor.config.template import config_template
from supervisor.core.rules.exit_codes import ExitRule
from supervisor.daemon.act.trainer_environment import policy_of

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
OURS = ["demo.yaml", "single_gpu.yaml", "any_command.yaml", "torchrun.yaml"]


def load(tmp_path: Path, text: str, name: str = "run.yaml") -> RunConfig:
    """The configuration of a text."""
    path = tmp_path / name
    path.write_text(text)
    return load_config(path).config


def test_only_the_command_is_needed(tmp_path: Path) -> None:
    """A configuration needs only `command`; all other keys have defaults."""
    config = load(tmp_path, "command: [python, x.py]\n", "my run!.yaml")
    assert config.name == "my-run"
    assert config.command == ("python", "x.py")
    assert (config.grace, config.signals) == (120.0, ("TERM", "USR1"))
    assert (config.restart.backoff, config.restart.backoff_max) == (10.0, 300.0)
    assert (config.restart.max_failures, config.restart.max_per_day) == (5, 50)
    assert (config.checkpoints.keep, config.checkpoints.keep_set) == (5, False)
    assert config.watch.heartbeat_timeout == "auto"
    assert config.watch.log_silence == 1800.0
    assert config.resume.existing is None


def test_numbers_in_a_command_are_passed_as_typed(tmp_path: Path) -> None:
    """A learning rate of 1.0e-4 must not come out as 0.0001, nor 010 as 8."""
    config = load(
        tmp_path, "command: [t, --lr, 1.0e-4, 010, 1_000, 0x10]\nresume: {args: [0.10]}\n"
    )
    assert config.command == ("t", "--lr", "1.0e-4", "010", "1_000", "0x10")
    assert config.resume.args == ("0.10",)


def test_exit_codes_are_numbers(tmp_path: Path) -> None:
    """Each rule of the core may be given, and the daemon gets them in the order of their codes."""
    rules = "{255: free, 1: restart, 137: rollback, 3: hold, 0x20: backoff}"
    config = load(tmp_path, f"command: [a]\nrestart: {{exit_codes: {rules}}}\n")
    assert config.restart.exit_codes[32] == "backoff"
    assert set(config.restart.exit_codes.values()) == set(ExitRule) == set(get_args(ExitRuleWord))
    assert policy_of(config, "id").exit_codes == (
        (1, ExitRule.RESTART),
        (3, ExitRule.HOLD),
        (32, ExitRule.BACKOFF),
        (137, ExitRule.ROLLBACK),
        (255, ExitRule.FREE),
    )
    assert policy_of(load(tmp_path, "command: [a]\n"), "id").exit_codes == ()


def test_signals_may_have_their_prefix(tmp_path: Path) -> None:
    """`SIGTERM` and `TERM` mean the same signal."""
    assert load(tmp_path, "command: [a]\nsignals: [SIGUSR1]\n").signals == ("USR1",)


@pytest.mark.parametrize("keep", ["", "checkpoints: {keep: 5}\n", "checkpoints: {keep: null}\n"])
def test_the_daemon_reads_back_the_same(tmp_path: Path, keep: str) -> None:
    """The configuration survives JSON unchanged, with the knowledge whether `keep` was written."""
    text = "command: [a]\ngrace: 90s\nenv: {A: '1'}\nfinish: {file: DONE}\n" + keep
    config = load(tmp_path, text).resolved(tmp_path)
    again = RunConfig.model_validate_json(config.to_json())
    assert again == config
    assert again.checkpoints.keep_set is config.checkpoints.keep_set is bool(keep)


@pytest.mark.parametrize("key", ["hooks", "notify", "metrics"])
def test_a_section_that_was_not_written_is_left_out(tmp_path: Path, key: str) -> None:
    """A daemon of the version before, which knows no such key, can read it after a downgrade."""
    texts = {"hooks": "finished: [a]", "notify": "to: ['json://h']", "metrics": "textfile: d"}
    assert key not in json.loads(load(tmp_path, "command: [a]\n").to_json())
    said = load(tmp_path, f"command: [a]\n{key}: {{{texts[key]}}}\n")
    assert key in json.loads(said.to_json())
    assert RunConfig.model_validate_json(said.to_json()) == said


def test_relative_paths_start_where_run_is_called(tmp_path: Path) -> None:
    """Paths become absolute; the checkpoint directory defaults to the run directory."""
    config = load(tmp_path, "name: n\ncommand: [a]\nfinish: {file: x/../DONE}\n").resolved(tmp_path)
    assert config.run_dir == config.checkpoints.directory == str(tmp_path / "runs" / "n")
    assert config.finish.file == str(tmp_path / "DONE")


def test_nothing_can_be_changed_afterwards(tmp_path: Path) -> None:
    """A decision depends on the file, not on a later assignment."""
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path, "command: [a]\n").grace = 1.0  # type: ignore[misc]


def test_placeholders_are_filled_in_and_other_braces_kept() -> None:
    """Placeholders are filled in, and JSON in an argument stays as it is."""
    words = expand_arguments(
        ["{checkpoint}", "{checkpoint_dir}/x", "{name}:{step}", '{"a": {}}'],
        checkpoint="/out/checkpoint-5",
        step=5,
    )
    assert words == ("/out/checkpoint-5", "/out/x", "checkpoint-5:5", '{"a": {}}')


@pytest.mark.parametrize(
    "command",
    [
        ["python", "train.py"],
        ["bash", "-c", "echo 'a: b' # c\n"],
        ["x", "", "on", "1e-3", "-1", "{a}", "é", "- a", "*x", "\t", "null", "~", "2026-01-01"],
    ],
)
def test_the_template_is_valid_as_it_stands(tmp_path: Path, command: list[str]) -> None:
    """For any command `init` writes what `run` reads, word for word."""
    text = config_template(path="config.yaml", name="on", command=command)
    config = load(tmp_path, text)
    assert list(config.command) == command
    assert config.name == "on"
    assert max(map(len, text.splitlines())) <= 100 or len(command) > 2


def test_the_template_shows_every_default_correctly(tmp_path: Path) -> None:
    """The template sets only defaults, so a user may delete any line."""
    full = load(tmp_path, config_template(path="c", name="run", command=["a"]))
    bare = load(tmp_path, "command: [a]\n", "run.yaml")
    assert full == bare


@pytest.mark.parametrize("name", OURS)
def test_our_own_configurations_are_valid(name: str) -> None:
    """The files in configs/ load, and satisfy the schema that editors use."""
    assert load_config(CONFIGS / name).config.command
    jsonschema.validate(yaml.safe_load((CONFIGS / name).read_text()), config_schema())


@pytest.mark.parametrize(
    "values",
    [
        {"command": ["a"], "grace": "5x"},
        {"command": ["a"], "kep": 1},
        {"command": "a"},
        {},
        {"command": ["a"], "signals": ["KILL"]},
        {"command": ["a"], "checkpoints": {"keep": 0}},
        {"command": ["a"], "restart": {"exit_codes": {"75": "hold"}}},
        {"command": ["a"], "restart": {"exit_codes": {"256": "hold"}}},
        {"command": ["a"], "restart": {"exit_codes": {"3": "holt"}}},
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(values: dict[str, object]) -> None:
    """An editor marks what `run` would refuse."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, config_schema())
