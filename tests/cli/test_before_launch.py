"""What is known and refused before a launch: programs, trainers by their script, configurations."""

from pathlib import Path

import pytest

from supervisor.cli.config_target import find_config
from supervisor.cli.preflight.expected_trainer import expected_trainer, options_of
from supervisor.cli.preflight.finding import Level
from supervisor.cli.preflight.program import program
from supervisor.cli.preflight.recovery_outlook import outlook
from supervisor.cli.preflight.save_interval import findings as interval_findings
from supervisor.cli.start.typed_line import TypedLine
from supervisor.config.model import RunConfig
from supervisor.errors import SupervisorError

TRANSFORMERS = """
from transformers import HfArgumentParser, Trainer, TrainingArguments
Trainer(model=None).train()
"""
LIGHTNING = "import lightning as L\nL.Trainer().fit(None)\n"
ACCELERATE = "from accelerate import Accelerator\naccelerator = Accelerator()\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(*words: str) -> RunConfig:
    """The configuration of a command."""
    return RunConfig(command=words)


@pytest.mark.parametrize(
    ("words", "text", "do"),
    [
        (("no.py",), "no.py is not found", "correct `command`"),
        (("train.py",), "train.py is a script, and no program on the PATH", "`python train.py`"),
        (("./train.py", "a b"), "./train.py is a script that is not executable",
         "`python ./train.py 'a b'`"),
        (("./bang.py",), "./bang.py is not executable", "chmod +x ./bang.py"),
        (("data",), "data is a directory, not a program", "name the program"),
        (("./data",), "./data is a directory, not a program", "name the program"),
        (("python3", "data"), "data is a directory without a __main__.py", "name the script"),
        (("python3", "no.py"), "no.py does not exist", "correct `command`"),
        (("python3",), "python3 alone runs nothing", "name the script"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_run(here: Path, words: tuple[str, ...], text: str, do: str) -> None:
    """It is said what the word is, and what to write."""
    (here / "data").mkdir()
    (here / "train.py").write_text("")
    (here / "bang.py").write_text("#!/usr/bin/env python\n")
    found = program(config(*words))
    assert found.level is Level.FAIL
    assert text in found.text
    assert do in str(found.do)


@pytest.mark.parametrize(
    "words",
    [("python3", "train.py"), ("python3", "package"), ("python3", "-c", "pass"), ("env", "data"),
     ("python3", "-m", "x"), ("python3", "train.py", "data")],
)  # fmt: skip
def test_a_command_that_may_run(here: Path, words: tuple[str, ...]) -> None:
    """A script, a directory with a `__main__.py`, a directory that is an argument."""
    (here / "data").mkdir()
    (here / "package").mkdir()
    (here / "package" / "__main__.py").write_text("")
    (here / "train.py").write_text("")
    assert program(config(*words)).level is Level.OK


@pytest.mark.parametrize(
    ("text", "library", "adapted"),
    [
        (TRANSFORMERS, "huggingface", True),
        ("from trl import SFTTrainer\nSFTTrainer(1)\n", "huggingface", True),
        (LIGHTNING, "lightning", True),
        (ACCELERATE, "accelerate", False),
        ("from transformers import Trainer\n" + ACCELERATE + "Trainer()", "huggingface", True),
        ("from transformers import AutoModel\n" + ACCELERATE, "accelerate", False),
        ("from ultralytics import YOLO\nYOLO('n').train(data='d')\n", "ultralytics", False),
    ],
)
def test_the_trainer_of_a_script(here: Path, text: str, library: str, *, adapted: bool) -> None:
    """It is known by what the script imports and calls; the script is not run."""
    (here / "train.py").write_text(text + "raise SystemExit(9)\n")
    found = expected_trainer(config("python", "train.py"))
    assert found is not None
    assert (found.library, found.is_adapted) == (library, adapted)
    assert found.why.startswith("train.py imports ")


@pytest.mark.parametrize("text", ["import torch\n", "# import transformers\nTrainer()\n", ""])
def test_a_script_of_its_own_kind(here: Path, text: str) -> None:
    """Nothing is guessed of it, or of one that is not there."""
    (here / "train.py").write_text(text)
    assert expected_trainer(config("python", "train.py")) is None
    assert expected_trainer(config("python", "no.py")) is None
    assert outlook(config("python", "train.py")) == ()


def test_tools_with_a_command_of_their_own() -> None:
    """No script is named there."""
    found = expected_trainer(config("trl", "sft", "--output_dir", "o"))
    assert found is not None
    assert (found.library, found.takes_arguments) == ("huggingface", True)


def test_what_the_options_say_of_saves(here: Path) -> None:
    """The defaults of transformers' arguments count where the script takes them as options."""
    (here / "run.py").write_text(TRANSFORMERS)

    def said(*words: str) -> str:
        return ". ".join(outlook(config("python", "run.py", *words)))

    assert said("--output_dir", "o").startswith("transformers' Trainer saves into o every 500")
    assert "into o every 20 steps" in said("--output_dir=o", "--save_steps=20")
    assert "saves nothing to resume from by itself" in said("--save_strategy", "no")
    assert "is known after its third save" in said("--save_strategy", "epoch", "--output_dir", "o")
    assert "does not restore: save_only_model" in said("--save_only_model", "--output_dir", "o")
    assert "does not restore" not in said("--save_only_model", "False")
    assert "A stop (Ctrl-C, SIGTERM) saves at the step" in said()
    (here / "run.py").write_text(ACCELERATE)
    assert "into o every 100 steps" in said("--output_dir", "o", "--checkpointing_steps", "100")
    assert "It is not known whether a resume restores the order" in said("--output_dir", "o")
    assert "A stop" not in said()


def test_an_adapter_that_cannot_reach_the_script(here: Path) -> None:
    """With `-I`, or `integrate: none`, nothing is promised of a stop."""
    (here / "run.py").write_text(LIGHTNING)
    assert any("A stop" in one for one in outlook(config("python", "run.py")))
    isolated = outlook(config("python", "-I", "run.py"))
    off = outlook(RunConfig(command=("python", "run.py"), integrate="none"))
    assert not any("A stop" in one for one in (*isolated, *off))


def test_options_of_a_command() -> None:
    """With a space, with `=`, without a value."""
    words = ["python", "t.py", "--a", "1", "--b-c=2", "--flag", "--", "-x", "--d"]
    assert options_of(words) == {"a": "1", "b_c": "2", "flag": "", "d": ""}


def configured(here: Path, *names: str) -> None:
    """Configurations as `run -- COMMAND` writes them."""
    for name in names:
        (here / "runs" / name).mkdir(parents=True)
        (here / "runs" / name / "config.yaml").write_text("command: [true]\n")


def test_the_configuration_of_the_only_run(here: Path) -> None:
    """Without a path it is that of the only run; a run's name and directory stand for it."""
    configured(here, "a")
    one = Path("runs/a/config.yaml")
    assert find_config(None) == find_config(None, "a") == one
    assert find_config(Path("a")) == find_config(Path("runs/a")) == one
    assert find_config(Path("other.yaml")) == Path("other.yaml")


@pytest.mark.parametrize("names", [(), ("a", "b")])
def test_none_or_several_runs(here: Path, names: tuple[str, ...]) -> None:
    """The error lists what there is."""
    configured(here, *names)
    for name in (None, "no"):
        with pytest.raises(SupervisorError) as caught:
            find_config(None, name)
        assert caught.value.code == 2
        assert all(f"runs/{one}/config.yaml" in str(caught.value.hint) for one in names)
    with pytest.raises(SupervisorError):
        find_config(Path("a"), "a")


def test_a_hint_names_the_line_that_was_typed() -> None:
    """`supervisor run CONFIG --take-over` is that line with the option; secrets are left out."""
    line = TypedLine("run", ("--plain",), ("python", "t.py", "--token", "hf_secret"))
    named = line.named_in("else: `supervisor run CONFIG --take-over`; or not")
    assert named.startswith("else: `supervisor run --plain --take-over -- python t.py --token ")
    assert "hf_secret" not in named
    assert line.named_in("`supervisor run x`") == "`supervisor run x`"


@pytest.mark.parametrize(
    ("words", "text", "level", "said"),
    [
        (("python", "-m", "train", "--config", "c.yaml"), "", Level.OK, "between 60 s and 4 h"),
        (("./run_train.sh",), "", Level.OK, "saves as often as loses least"),
        (("python", "t.py"), "import torch\nfrom supervisor.torch import Checkpointer\n", Level.OK,
         "saves as often as loses least"),
        (("python", "t.py"), TRANSFORMERS, Level.WARN, "no effect on transformers' Trainer"),
        (("python", "t.py"), LIGHTNING, Level.WARN, "no effect on Lightning"),
        (("torchrun", "t.py"), ACCELERATE, Level.WARN, "no effect on accelerate"),
        (("python", "t.py"), "# from supervisor.torch import Checkpointer\n", Level.WARN,
         "the command shows none"),
        (("./train",), "", Level.WARN, "the command shows none"),
    ],
)  # fmt: skip
def test_whether_the_interval_has_an_effect(
    here: Path, words: tuple[str, ...], text: str, level: Level, said: str
) -> None:
    """A trainer without a Checkpointer would save as ever, and `check` says so."""
    (here / "t.py").write_text(text)
    (found,) = interval_findings(RunConfig(command=words, checkpoints={"interval": "auto"}))  # type: ignore[arg-type]
    assert (found.what, found.level) == ("interval", level)
    assert said in found.text
    assert found.do is None or "how often it saves" in found.do or "`" in found.do
    assert list(interval_findings(RunConfig(command=words))) == []


def test_each_library_is_named_its_own_key(here: Path) -> None:
    """What to write in place of the key."""
    keys = {TRANSFORMERS: "`save_steps: N`", LIGHTNING: "`every_n_train_steps=N`"}
    for text, key in keys.items():
        (here / "t.py").write_text(text)
        checkpoints = {"interval": "auto"}
        (found,) = interval_findings(RunConfig(command=("python", "t.py"), checkpoints=checkpoints))  # type: ignore[arg-type]
        assert key in str(found.do)
