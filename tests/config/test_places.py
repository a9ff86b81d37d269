"""`~` and `$VARIABLE` in paths: expanded or refused, never made literally."""

import re
from pathlib import Path

import pytest

from supervisor.config.load import load_config
from supervisor.config.places import expand, unexpanded
from supervisor.config.problems import ConfigError

ENVIRONMENT = {"HOME": "/home/me", "SCRATCH": "/scratch/me", "N": "7", "EMPTY": "", "ODD": "/a$b"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("out", "out"),
        ("/data/out", "/data/out"),
        ("~", "/home/me"),
        ("~/runs/a", "/home/me/runs/a"),
        ("$SCRATCH/ckpt", "/scratch/me/ckpt"),
        ("${SCRATCH}/ckpt", "/scratch/me/ckpt"),
        ("/x/run-${N}b/$N", "/x/run-7b/7"),
        ("~/$N", "/home/me/7"),
        ("$ODD/c", "/a$b/c"),  # a value is not expanded again
        ("a~/b~", "a~/b~"),
    ],
)
def test_expanded(written: str, meant: str) -> None:
    """A path is expanded as a shell would expand it."""
    assert expand(written, ENVIRONMENT) == meant


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("$NOWHERE/c", "$NOWHERE is not set here"),
        ("${NOWHERE}/c", "$NOWHERE is not set here"),
        ("$EMPTY/c", "$EMPTY is empty here"),
        ("a/$/b", "without the name of a variable"),
        ("$(pwd)/c", "without the name of a variable"),
        ("${SCRATCH:-/tmp}/c", "without the name of a variable"),
        ("$1/c", "without the name of a variable"),
        ("~nobody-of-this-name/c", "no home directory"),
    ],
)
def test_refused(written: str, says: str) -> None:
    """A path that cannot be expanded is refused, and no directory is made."""
    with pytest.raises(ValueError, match=re.escape(says)):
        expand(written, ENVIRONMENT)


def test_in_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All paths are expanded by the trainer's environment; `env` comes first."""
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    monkeypatch.setenv("HOME", "/home/me")
    path = tmp_path / "c.yaml"
    path.write_text(
        "command: [a]\nrun_dir: ~/r\ncheckpoints: {directory: $OUT/c, keep: 3}\n"
        "finish: {file: $SCRATCH/done}\nenv: {OUT: /out}\nmetrics: {textfile: ~/prom}\n"
    )
    config = load_config(path).config
    assert config.run_dir == "/home/me/r"
    assert config.checkpoints.directory == "/out/c"
    assert config.checkpoints.keep_set
    assert config.finish.file == "/scratch/me/done"
    assert config.metrics.textfile == "/home/me/prom"
    again = type(config).model_validate_json(config.resolved(tmp_path).to_json())
    assert again.checkpoints.directory == "/out/c"


def test_problems_have_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both problems are reported at once, with line and key."""
    monkeypatch.delenv("NOWHERE", raising=False)
    path = tmp_path / "c.yaml"
    path.write_text("command: [a]\nrun_dir: $NOWHERE/r\ncheckpoints:\n  directory: $NOWHERE/c\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    found = [(problem.line, problem.key) for problem in caught.value.problems]
    assert found == [(2, "run_dir"), (4, "checkpoints.directory")]


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        ("$SCRATCH/out", True),
        ("--output_dir=$SCRATCH/out", True),
        ("--out=~/x", True),
        ("~/x", True),
        ("--lr=3e-4", False),
        ("a$b", False),
        ("cd $SCRATCH && python t.py", False),  # a script for a shell
        ("s/~x/y/", False),
    ],
)
def test_words_that_only_a_shell_would_expand(word: str, is_one: bool) -> None:
    """`check` warns of these words, because the trainer gets them unchanged."""
    assert unexpanded(word) is is_one
