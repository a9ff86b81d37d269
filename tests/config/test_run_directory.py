"""The run directory of a configuration without pydantic: the same as with it, or none."""

from pathlib import Path

import pytest

from supervisor.config import run_directory as quick
from supervisor.config.load import load_config
from supervisor.config.model import RunConfig
from supervisor.config.problems import ConfigError

PLAIN = [
    "command: [a]\n",
    "name: gpt\ncommand: [a]\n",
    "name: 'gpt'\ncommand: [a]\nrun_dir:\n",
    "command: [a]\nrun_dir: out/../b\n",
    "command: [a]\nrun_dir: /data/out\n",
    "command: [a]\nrun_dir: ~/r\n",
    "command: [a]\nrun_dir: $SCRATCH/${N}\n",
    "command: [a]\nrun_dir: $N/r\nenv: {N: mine}\n",
    "\ufeffcommand: [a]\nrun_dir: out\n",
    "name: &n gpt\ncommand: [*n]\nrun_dir: *n\n",
    "env: &e {run_dir: theirs}\ncommand: [a]\n<<: *e\n",
    "command: [a]\nrun_dir: >-\n  folded\n  path\n",
    "command: [a]\ncwd: ..\n",
    "command: [a]\ncwd: /srv/../data\nrun_dir: r\n",
    "command: [a]\ncwd: $SCRATCH/p\nrun_dir: r/$N\n",
    "command: [a]\ncwd: ~\nrun_dir: /data/out\n",
    '{"name": "bench", "command": ["a"], "run_dir": "/data/r"}',
]
UNUSUAL = [
    "",
    "- a\n",
    "command: [a]\n\trun_dir: out\n",
    "command: [a\n",
    "run_dir: out\n",
    "command: [a]\nrun_dirs: out\n",
    "command: [a]\nrun_dir: a\nrun_dir: b\n",
    "command: [a]\nwatch: {progress: a, progress: b}\n",
    "command: [a]\nrun_dir: 7\n",
    "command: [a]\nrun_dir: ''\n",
    "command: [a]\ncwd: ''\n",
    "command: [a]\ncwd: 7\n",
    "command: [a]\ncwd: $NOWHERE\n",
    "command: [a]\nrun_dir: $NOWHERE/r\n",
    "command: [a]\nrun_dir: ~nobody-of-this-name/r\n",
    "command: [a]\nname: 2026-11-28\n",
    "command: [a]\nname:\n",
    "command: [a]\nname: a/b\n",
    "command: [a]\nrun_dir: r\nenv: {N: 7}\n",
    "command: [a]\nenv: [N]\n",
    "command: [a]\n1: 2\n",
    "command: [a]\nname: 2026-99-99\n",
]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables by which the paths are expanded."""
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    monkeypatch.setenv("N", "7")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("NOWHERE", raising=False)


@pytest.mark.parametrize("text", PLAIN)
@pytest.mark.parametrize("file", ["my run.yaml", "ü.yaml"])
def test_the_same_as_the_whole_configuration(tmp_path: Path, file: str, text: str) -> None:
    """The quick reader finds the directory by name, by key, or by the file's name."""
    path = tmp_path / file
    path.write_text(text, "utf-8")
    here = tmp_path / "here"
    whole = load_config(path).config.resolved(here).run_dir
    assert quick.run_directory(path, here) == Path(whole or "")


@pytest.mark.parametrize("text", UNUSUAL)
def test_what_is_unusual_is_left_to_the_whole(tmp_path: Path, text: str) -> None:
    """An unusual file is left to the full loader, which reports its problems."""
    path = tmp_path / "c.yaml"
    path.write_text(text, "utf-8")
    assert quick.run_directory(path, tmp_path) is None
    with pytest.raises(ConfigError):
        load_config(path)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """The error has the full loader's words."""
    with pytest.raises(ConfigError, match="no such file"):
        quick.run_directory(tmp_path / "c.yaml", tmp_path)


def test_all_keys_are_known() -> None:
    """The quick reader knows every key of the configuration; a new key must be added to it."""
    assert set(RunConfig.model_fields) == quick.KEYS
