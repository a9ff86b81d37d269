"""Writes `tool_saves.tar.xz`: small saves of each tool, by the tool's own save functions.

    VENV/bin/python tests/checkpoint/make_tool_saves.py FOLDER [TOOL...]
    tar -C FOLDER --sort=name --owner=0 --group=0 -cJf tests/checkpoint/tool_saves.tar.xz .

VENV has the tools from PyPI; no model and no data is downloaded. `VERSIONS` in the archive lists
what wrote the saves. Each tool trains a tiny model and saves at least twice, if it can.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.update(CUDA_VISIBLE_DEVICES="", KERAS_BACKEND="torch", JAX_PLATFORMS="cpu")
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", WANDB_DISABLED="true")
_PACKAGES = (
    *("torch", "transformers", "accelerate", "peft", "lightning", "stable-baselines3", "jax"),
    *("orbax-checkpoint", "flax", "xgboost", "keras", "deepspeed", "ultralytics", "timm"),
)


def huggingface(out: Path) -> None:
    """HF's Trainer: whole checkpoints, and `save_only_model` ones."""
    import torch
    from transformers import Trainer, TrainingArguments

    class Tiny(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": ((self.layer(x) - labels) ** 2).mean()}

    data = [{"x": torch.ones(4), "labels": torch.ones(1)} for _ in range(8)]
    for name, only_model in (("out", False), ("only_model", True)):
        settings = TrainingArguments(
            output_dir=str(out / name), max_steps=4, save_steps=2, report_to=[],
            per_device_train_batch_size=2, save_only_model=only_model, use_cpu=True,
        )  # fmt: skip
        Trainer(Tiny(), settings, train_dataset=data).train()


def peft(out: Path) -> None:
    """HF's Trainer with a LoRA adapter."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

    config = LlamaConfig(
        vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1,
    )  # fmt: skip
    model = get_peft_model(LlamaForCausalLM(config), LoraConfig(r=1, target_modules=["q_proj"]))
    data = [{"input_ids": torch.ones(4).long(), "labels": torch.ones(4).long()} for _ in range(8)]
    settings = TrainingArguments(
        output_dir=str(out), max_steps=4, save_steps=2, report_to=[],
        per_device_train_batch_size=2, use_cpu=True,
    )  # fmt: skip
    Trainer(model, settings, train_dataset=data).train()


def accelerate(out: Path) -> None:
    """accelerate's `save_state`: by name, as diffusers' scripts do, and with its own numbers."""
    import torch
    from accelerate import Accelerator
    from accelerate.utils import ProjectConfiguration

    project = ProjectConfiguration(project_dir=str(out), automatic_checkpoint_naming=True)
    for name, config in (("named", None), ("numbered", project)):
        accelerator = Accelerator(cpu=True, project_config=config)
        model = torch.nn.Linear(4, 1)
        optimizer = torch.optim.AdamW(model.parameters())
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10)
        model, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
        for step in (1, 2):
            accelerator.backward(model(torch.ones(2, 4)).mean())
            optimizer.step()
            schedule.step()
            if config is None:
                accelerator.save_state(str(out / name / f"checkpoint-{step}"))
            else:
                accelerator.save_state()


def lightning(out: Path) -> None:
    """Lightning: `ModelCheckpoint` by step with `last.ckpt`, by loss, and weights alone."""
    import lightning
    import torch
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger

    class Tiny(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
            loss = self.layer(batch).mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters())

    loader = torch.utils.data.DataLoader(torch.ones(8, 4), batch_size=2)
    saves = [
        ModelCheckpoint(every_n_train_steps=2, save_top_k=-1, save_last=True),
        ModelCheckpoint(dirpath=out / "by_loss", filename="{epoch}-{loss:.2f}", monitor="loss",
                        save_top_k=2, save_on_train_epoch_end=True),
        ModelCheckpoint(dirpath=out / "weights_alone", filename="{epoch}-{step}",
                        save_weights_only=True),
    ]  # fmt: skip
    lightning.Trainer(
        max_epochs=2, callbacks=saves, default_root_dir=out, logger=CSVLogger(out),
        accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
        log_every_n_steps=1,
    ).fit(Tiny(), loader)  # fmt: skip


def stable_baselines3(out: Path) -> None:
    """stable-baselines3's `CheckpointCallback`, with replay buffer and normalization."""
    import warnings

    warnings.simplefilter("ignore")
    import gymnasium
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import CheckpointCallback
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    world = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    saves = CheckpointCallback(
        10, str(out), save_replay_buffer=True, save_vecnormalize=True, name_prefix="rl_model"
    )
    agent = DQN("MlpPolicy", world, buffer_size=30, learning_starts=5, device="cpu",
                policy_kwargs={"net_arch": [4]})  # fmt: skip
    agent.learn(20, callback=saves)
    agent.save(out / "best_model")


def orbax(out: Path) -> None:
    """orbax's `CheckpointManager`: with numbers alone, and with a prefix."""
    import jax.numpy as jnp
    import orbax.checkpoint as ocp

    for name, prefix in (("plain", None), ("prefixed", "step")):
        options = ocp.CheckpointManagerOptions(max_to_keep=3, step_prefix=prefix)
        with ocp.CheckpointManager((out / name).absolute(), options=options) as manager:
            for step in (1, 2):
                state = {"weights": jnp.arange(64.0) + step, "moments": jnp.zeros(64)}
                manager.save(step, args=ocp.args.StandardSave(state))
            manager.wait_until_finished()


def flax(out: Path) -> None:
    """flax's older saves: single files of msgpack, `checkpoint_N` without an ending."""
    import jax.numpy as jnp
    from flax import serialization

    out.mkdir(parents=True)
    for step in (1, 2):
        state = {"step": step, "weights": jnp.arange(64.0) + step, "moments": jnp.zeros(64)}
        (out / f"checkpoint_{step}").write_bytes(serialization.to_bytes(state))
        (out / f"flax_model_{step}.msgpack").write_bytes(serialization.msgpack_serialize(state))


def xgboost(out: Path) -> None:
    """xgboost's `TrainingCheckPoint`: UBJSON, and JSON as versions before 2.1 wrote it."""
    import numpy
    import xgboost

    out.mkdir(parents=True)
    rows = xgboost.DMatrix(numpy.random.default_rng(0).random((32, 3)), numpy.arange(32) % 2)
    saves = xgboost.callback.TrainingCheckPoint(out, interval=2, name="model")
    told = {"max_depth": 2, "nthread": 1}
    booster = xgboost.train(told, rows, 6, callbacks=[saves])
    booster.save_model(out / "xgb_model_6.json")
    with (out / "model_6.pkl").open("wb") as file:
        import pickle

        pickle.dump(booster, file)


def keras(out: Path) -> None:
    """keras' `ModelCheckpoint` in its two forms, and `BackupAndRestore`."""
    import keras
    import numpy

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    saves = keras.callbacks.ModelCheckpoint
    model.fit(
        numpy.ones((8, 4)), numpy.ones(8), epochs=2, verbose=0,
        callbacks=[
            saves(str(out / "ckpt-{epoch:02d}-{loss:.2f}.keras")),
            saves(str(out / "ckpt-{epoch:02d}.weights.h5"), save_weights_only=True),
            keras.callbacks.BackupAndRestore(str(out / "backup"), delete_checkpoint=False),
        ],
    )  # fmt: skip


def deepspeed(out: Path) -> None:
    """DeepSpeed's `save_checkpoint` of one rank, with ZeRO's second stage."""
    import torch

    os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1",
                      MASTER_PORT="29533", DS_ACCELERATOR="cpu")  # fmt: skip
    import deepspeed

    deepspeed.init_distributed("gloo")
    model = torch.nn.Linear(4, 1)
    config = {
        "train_micro_batch_size_per_gpu": 2,
        "zero_optimization": {"stage": 2, "offload_optimizer": {"device": "none"}},
    }
    engine, *_ = deepspeed.initialize(
        model=model, config=config, optimizer=torch.optim.AdamW(model.parameters())
    )
    for _ in (1, 2):
        engine.backward(engine(torch.ones(2, 4)).mean())
        engine.step()
        engine.save_checkpoint(str(out))


def ultralytics(out: Path) -> None:
    """ultralytics: the files of an unfinished training, and those after its end."""
    import shutil

    import cv2
    import numpy
    import yaml
    from ultralytics import YOLO

    data = out / "data"
    for part in ("images", "labels"):
        (data / part).mkdir(parents=True)
    for number in range(2):
        picture = numpy.full((32, 32, 3), 100 * number, numpy.uint8)
        cv2.imwrite(str(data / "images" / f"{number}.png"), picture)
        (data / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    folder = str(data.absolute())
    told = {"path": folder, "train": "images", "val": "images", "names": {0: "a"}}
    (out / "data.yaml").write_text(yaml.safe_dump(told))
    net = {
        "nc": 1,
        "backbone": [[-1, 1, "Conv", [4, 3, 2]], [-1, 1, "Conv", [4, 3, 2]]],
        "head": [[[1], 1, "Detect", ["nc"]]],
    }
    (out / "tiny.yaml").write_text(yaml.safe_dump(net))

    def begin(trainer: object) -> None:
        for one in (trainer.model, trainer.ema.ema):  # type: ignore[attr-defined]
            for value in one.parameters():
                value.data.zero_()  # what is all zeros takes no place in the archive

    def keep(trainer: object) -> None:
        weights = Path(trainer.wdir)  # type: ignore[attr-defined]
        if trainer.epoch == 1:  # type: ignore[attr-defined]
            shutil.copytree(weights.parent, out / "unfinished" / "train", dirs_exist_ok=True)

    model = YOLO(str(out / "tiny.yaml"))
    model.add_callback("on_train_start", begin)
    model.add_callback("on_model_save", keep)
    model.train(
        data=str(out / "data.yaml"), epochs=3, imgsz=32, batch=2, device="cpu", plots=False,
        project=str(out.absolute()), name="train", workers=0, verbose=False, lr0=1e-9, amp=False,
        optimizer="SGD", momentum=0.0, warmup_epochs=0,
    )  # fmt: skip
    shutil.rmtree(data)


def timm(out: Path) -> None:
    """timm's `CheckpointSaver`."""
    import argparse

    import timm.utils
    import torch

    out.mkdir(parents=True)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters())
    saver = timm.utils.CheckpointSaver(
        model, optimizer, args=argparse.Namespace(model="tiny"), checkpoint_dir=str(out),
        recovery_dir=str(out), max_history=3,
    )  # fmt: skip
    for epoch in (0, 1):
        saver.save_checkpoint(epoch, metric=float(epoch))
    saver.save_recovery(2, batch_idx=5)


def nanogpt(out: Path) -> None:
    """nanoGPT's file: the dictionary of its `train.py` (karpathy/nanoGPT, 3adf61e)."""
    import torch

    out.mkdir(parents=True)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    state = {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(),
        "model_args": {"n_layer": 1}, "iter_num": 250, "best_val_loss": torch.tensor(1.5),
        "config": {"out_dir": "out"},
    }  # fmt: skip
    torch.save(state, out / "ckpt.pt")


def single_files(out: Path) -> None:
    """The dictionaries of fairseq, torchvision, detectron2, mmengine, DiT and guided-diffusion.

    fairseq 0.12.3, checkpoint_utils.py and trainer.py (`state_dict`); torchvision 0.24,
    references/classification/train.py; detectron2 0.6, checkpoint/detection_checkpoint.py;
    mmengine 0.10, runner/runner.py (`save_checkpoint`); facebookresearch/DiT, train.py;
    openai/guided-diffusion, train_util.py.
    """
    import torch

    out.mkdir(parents=True)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    weights, moments = model.state_dict(), optimizer.state_dict()
    schedule = {"last_epoch": 3}
    history = [{"optimizer_name": "Adam", "lr_scheduler_state": {}, "num_updates": 5000}]
    saves: dict[str, object] = {
        "fairseq/checkpoint3.pt": {
            "args": None, "cfg": {"common": {}}, "model": weights, "criterion": None,
            "optimizer_history": history, "task_state": {},
            "extra_state": {"train_iterator": {"epoch": 4, "iterations_in_epoch": 0}},
            "last_optimizer_state": moments,
        },
        "torchvision/model_3.pth": {
            "model": weights, "optimizer": moments, "lr_scheduler": schedule, "epoch": 3,
            "args": None,
        },
        "detectron2/model_0004999.pth": {
            "model": weights, "optimizer": moments, "scheduler": schedule, "iteration": 4999,
        },
        "mmengine/iter_500.pth": {
            "meta": {"epoch": 0, "iter": 500}, "state_dict": weights, "message_hub": {},
            "optimizer": moments, "param_schedulers": [schedule],
        },
        "dit/0050000.pt": {"model": weights, "ema": weights, "opt": moments, "args": None},
        "guided_diffusion/model010000.pt": weights,
        "guided_diffusion/opt010000.pt": moments,
    }  # fmt: skip
    for name, state in saves.items():
        path = out / name
        path.parent.mkdir(exist_ok=True)
        torch.save(state, path)


TOOLS: tuple[Callable[[Path], None], ...] = (
    huggingface, peft, accelerate, lightning, stable_baselines3, orbax, flax, xgboost, keras,
    deepspeed, ultralytics, timm, nanogpt, single_files,
)  # fmt: skip


def main() -> None:
    """Write the saves of the tools that the command line names; of all if it names none."""
    root, wanted = Path(sys.argv[1]), sys.argv[2:]
    for tool in TOOLS:
        if not wanted or tool.__name__ in wanted:
            print(f"== {tool.__name__}", flush=True)
            tool(root / tool.__name__)
    lines = set(
        (root / "VERSIONS").read_text().splitlines()
        if wanted and (root / "VERSIONS").exists()
        else ()
    )
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            lines.add(f"{package} {version(package)}")
    (root / "VERSIONS").write_text("\n".join(sorted(lines)) + "\n")


if __name__ == "__main__":
    main()
