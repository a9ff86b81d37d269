"""A wrong config costs a second and lists everything at once; a wrong loss is named."""

from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import ROOT, Workplace
from train.config import NonFinite, Precision
from train.config_file import load_config
from train.errors import ConfigurationError


def test_all_problems_are_listed(workplace: Workplace) -> None:
    """Unknown keys with the nearest one, and wrong types, give exit 78, and nothing is written."""
    output = workplace.run(
        "--set",
        "training.epoch=3",
        changes={
            "sede": 1,
            "model": {"layers": "two"},
            "training": {"precision": "fp8", "compile": 1},
            "log": 5,
        },
        code=78,
    )
    assert "config.yaml: 6 problems" in output
    assert "sede: unknown key; did you mean seed?" in output
    assert "training.epoch: unknown key; did you mean epochs?" in output
    assert "model.layers: must be a whole number, got 'two'" in output
    assert "training.precision: must be one of fp32, bf16, fp16, got 'fp8'" in output
    assert "training.compile: must be true or false, got 1" in output
    assert "log: must be a section with keys, got 5" in output
    assert not workplace.outputs.exists()


def test_impossible_values_are_listed(tmp_path: Path) -> None:
    """Values of right types that are impossible are all listed."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "model: {width: 30}\ntraining: {epochs: 0, ema_decay: 1.5}\nlog: {every: 0}\n"
        "data: {text: a.txt, factory: 'a:b'}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, [])
    keys = {problem.split(":")[0] for problem in caught.value.problems}  # no other key is listed
    assert keys == {
        "model.width",
        "training.epochs",
        "training.ema_decay",
        "log.every",
        "data.text",
    }


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    """YAML 1.1 reads 3e-4 as text, and we as a number; overrides are YAML, too."""
    path = tmp_path / "c.yaml"
    path.write_text("optimizer: {learning_rate: 3e-4}\ntraining: {non_finite: warn}\n")
    config = load_config(path, ["training.precision=bf16", "training.max_steps=null"])
    assert config.optimizer.learning_rate == 3e-4
    assert config.training.precision is Precision.BF16
    assert config.training.non_finite is NonFinite.WARN
    assert config.training.max_steps is None


@pytest.mark.parametrize("name", ["train_config.yaml", "demo_train.yaml"])
def test_the_shipped_configs_are_right(name: str) -> None:
    """The configs that the documentation recommends load."""
    assert load_config(ROOT / "configs" / name, []).checkpoints.keep == 5


def test_the_commented_config_names_every_key() -> None:
    """configs/train_config.yaml is the documentation of the keys."""
    import dataclasses

    import yaml

    from train.config import TrainConfig

    written: dict[str, Any] = yaml.safe_load((ROOT / "configs/train_config.yaml").read_text())
    default = dataclasses.asdict(TrainConfig())
    assert written.keys() == default.keys()
    for section, keys in default.items():
        if isinstance(keys, dict):
            assert written[section].keys() == keys.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"text": "nowhere.txt"}}, "data.text: nowhere.txt: No such file"),
        ({"model": {"factory": "nowhere:f"}}, "model.factory: no module named 'nowhere'"),
        ({"data": {"batch_size": 999}}, "fewer than one optimizer step takes"),
    ],
)
def test_what_the_config_names_must_be_there(
    workplace: Workplace, changes: dict[str, Any], message: str
) -> None:
    """A missing text or module, or too little data, exits with 78 and no traceback."""
    output = workplace.run(changes=changes, code=78)
    assert message in output
    assert "Traceback" not in output


def test_a_loss_that_is_not_finite_names_its_step(workplace: Workplace) -> None:
    """FloatingPointError names the exact step, before that step is saved."""
    (workplace.path / "bad.py").write_text(
        "import torch\n"
        "class Bad(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.weight = torch.nn.Parameter(torch.ones(1))\n"
        "        self.calls = 0\n"
        "    def forward(self, inputs, targets):\n"
        "        self.calls += 1\n"
        "        return self.weight * (float('nan') if self.calls == 15 else 1.0)\n"
    )
    changes = {
        "model": {"factory": "bad:Bad"},
        "log": {"every": 100},
        "evaluation": {"steps": 0},
    }
    output = workplace.run(changes=changes, code=1)
    assert "FloatingPointError: non-finite loss at step 8" in output
    assert {path.name for path in workplace.outputs.glob("checkpoint-*")} == {"checkpoint-5"}
