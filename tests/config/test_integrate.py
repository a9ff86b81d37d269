"""`integrate`: the words and lists that it takes, and what the daemon makes of it for a trainer."""

import os
from pathlib import Path

import jsonschema
import pytest

from supervisor.config.load import load_config
from supervisor.config.model import RunConfig
from supervisor.config.problems import ConfigError
from supervisor.config.schema import config_schema
from supervisor.core.states import Checkpoint
from supervisor.daemon.act.trainer_environment import environment
from supervisor.worker.adapters import STARTUP


def load(tmp_path: Path, text: str) -> RunConfig:
    """The configuration with these further lines."""
    path = tmp_path / "run.yaml"
    path.write_text(f"command: [python, x.py]\n{text}\n")
    return load_config(path).config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", "auto"),
        ("integrate: auto", "auto"),
        ("integrate: none", "none"),
        ("integrate: [huggingface]", ("huggingface",)),
        ("integrate: [lightning, huggingface, lightning]", ("lightning", "huggingface")),
    ],
)
def test_what_it_takes(tmp_path: Path, text: str, value: object) -> None:
    """Two words, or names of adapters; the schema agrees, and the daemon reads the same again."""
    config = load(tmp_path, text)
    assert config.integrate == value
    assert RunConfig.model_validate_json(config.to_json()) == config
    wanted = value if isinstance(value, str) else list(dict.fromkeys(value))  # type: ignore[call-overload]
    jsonschema.validate({"command": ["x"], "integrate": wanted}, config_schema())


def test_the_default_is_not_written(tmp_path: Path) -> None:
    """A daemon of the version before, which knows no such key, can read the default."""
    assert "integrate" not in load(tmp_path, "integrate: auto").to_json()
    assert "integrate" in load(tmp_path, "integrate: none").to_json()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("on", "YAML reads on and off as true and false: write auto or none"),
        ("off", "YAML reads on and off as true and false: write auto or none"),
        ("true", "YAML reads on and off as true and false: write auto or none"),
        ("huggingface", "must be a list: [huggingface]"),
        ("all", "expected auto, none or a list of adapters; the adapters are huggingface, light"),
        ("[]", "expected auto, none or a list of adapters; the adapters are huggingface, light"),
        ("", "expected auto, none or a list of adapters; the adapters are huggingface, light"),
        ("1", "expected auto, none or a list of adapters; the adapters are huggingface, light"),
        (
            "[keras]",
            "keras is no adapter; the adapters are huggingface, lightning, accelerate, torch,",
        ),
        ("[hugging_face]", "(did you mean huggingface?)"),
        (
            "[huggingface, [lightning]]",
            "is no adapter; the adapters are huggingface, lightning, accelerate, torch, wandb",
        ),
        ("[true]", "True is no adapter"),
        ("{huggingface: true}", "expected auto, none or a list of adapters"),
    ],
)
def test_what_it_refuses(tmp_path: Path, text: str, said: str) -> None:
    """The error says what is known and what was meant."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"integrate: {text}")
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].key == "integrate"


def given(
    tmp_path: Path, text: str = "", *, checkpoint: Checkpoint | None = None, **inherited: str
) -> dict[str, str]:
    """The environment of a trainer, as the launcher makes it of the order."""
    overlay, unset = environment(
        load(tmp_path, text),
        inherited,
        run_dir=tmp_path,
        run_id="id",
        attempt=1,
        heartbeat_dir=tmp_path,
        snapshot_dir=None,
        checkpoint=checkpoint,
    )
    return {**{name: value for name, value in inherited.items() if name not in unset}, **overlay}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, [STARTUP]),
        ("", [STARTUP]),
        ("/a:/b", [STARTUP, "/a", "/b"]),
        (":/a", [STARTUP, "", "/a"]),
        (f"{STARTUP}:/a", [STARTUP, "/a"]),
        (f"/a:{STARTUP}", [STARTUP, "/a"]),
    ],
)
def test_the_path(tmp_path: Path, found: str | None, expected: list[str]) -> None:
    """The folder stands first and once, before what was inherited or configured."""
    inherited = {} if found is None else {"PYTHONPATH": found}
    assert given(tmp_path, **inherited)["PYTHONPATH"].split(os.pathsep) == expected
    if found:
        text = f'env: {{PYTHONPATH: "{found}"}}'
        configured = given(tmp_path, text, PYTHONPATH="/other")
        assert configured["PYTHONPATH"].split(os.pathsep) == expected


def test_none_leaves_the_path_alone(tmp_path: Path) -> None:
    """Without adapters PYTHONPATH is the user's; an inherited folder of ours is taken out."""
    text = "integrate: none"
    assert "PYTHONPATH" not in given(tmp_path, text)
    assert given(tmp_path, text, PYTHONPATH="/a")["PYTHONPATH"] == "/a"
    assert given(tmp_path, text, PYTHONPATH=f"{STARTUP}:/a")["PYTHONPATH"] == "/a"
    assert "PYTHONPATH" not in given(tmp_path, text, PYTHONPATH=STARTUP)
    assert given(tmp_path, text)["SUPERVISOR_INTEGRATE"] == "none"


def test_the_variables(tmp_path: Path) -> None:
    """Which adapters are wanted, and whether `resume.args` resume; nothing is inherited."""
    assert given(tmp_path, SUPERVISOR_INTEGRATE="none")["SUPERVISOR_INTEGRATE"] == "auto"
    text = "integrate: [huggingface, lightning]\nresume: {args: [--resume, '{checkpoint}']}"
    found = given(tmp_path, text)
    assert found["SUPERVISOR_INTEGRATE"] == "huggingface,lightning"
    assert found["SUPERVISOR_RESUME_ARGS"] == "1"
    assert "SUPERVISOR_RESUME_ARGS" not in given(tmp_path, SUPERVISOR_RESUME_ARGS="1")


def test_a_colon_in_the_name_of_our_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTHONPATH cannot name such a folder: half a path would be a folder of somebody else's."""
    monkeypatch.setattr("supervisor.daemon.act.trainer_environment.STARTUP", "/odd:folder")
    assert given(tmp_path, PYTHONPATH="/a")["PYTHONPATH"] == "/a"
