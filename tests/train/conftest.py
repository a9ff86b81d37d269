"""The trainer as users start it, a model that trains a step in milliseconds, and comparisons."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.train.forge import Forge, Fork

ROOT = Path(__file__).resolve().parents[2]
WEIGHT_FILES = ("model.pt", "optimizer.pt", "scheduler.pt", "ema_model.pt")

# 43 batches an epoch, two to a step: 21 steps an epoch, and one batch remains.
TINY: dict[str, Any] = {
    "output_dir": "outputs",
    "seed": 7,
    "model": {"layers": 1, "heads": 2, "width": 16, "dropout": 0.2},
    "data": {"text": "corpus.txt", "block_size": 16, "batch_size": 4},
    "optimizer": {"learning_rate": 0.01},
    "schedule": {"warmup_steps": 5},
    "training": {"epochs": 2, "accumulation": 2, "ema_decay": 0.9, "device": "cpu", "threads": 1},
    "checkpoints": {"save_steps": 5, "keep": 50},
    "evaluation": {"steps": 10, "batches": 2},
    "log": {"every": 1},
}
CORPUS = "".join(f"The {n}th line says {n * n % 97} and {n * 31 % 89}.\n" for n in range(100))


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `changes`, section by section."""
    return {
        **base,
        **{
            key: merge(base.get(key) or {}, value) if isinstance(value, dict) else value
            for key, value in changes.items()
        },
    }


# Every Python that is started with this file's folder on its path imports it.
HOLD = """\
import os, time
from train.log import Log
say = Log.say
def say_and_hold(self, text):
    say(self, text)
    while os.environ["HOLD"] in text and not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
Log.say = say_and_hold
"""


class RunningTrainer:
    """A running trainer, whose lines a test can wait for."""

    def __init__(self, process: "subprocess.Popen[str] | Fork", gate: Path) -> None:
        self.process = process
        self._gate = gate
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line)
        self._queue.put(None)

    def wait_for(self, text: str, timeout_s: float = 90) -> bool:
        """Read until a line holds `text`; return False if the trainer ended before."""
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._queue.get(timeout=max(0.01, deadline - time.monotonic()))
            if line is None:
                self._queue.put(None)
                return False
            self.lines.append(line)
            if text in line:
                return True

    def let_go(self) -> None:
        """Let the trainer go on from where it holds."""
        self._gate.touch()

    def end(self, timeout_s: float = 90) -> int:
        """Wait for the end, and return the exit code."""
        code = self.process.wait(timeout_s)
        while (line := self._queue.get(timeout=60)) is not None:
            self.lines.append(line)
        return code

    @property
    def output(self) -> str:
        """All that the trainer has printed so far."""
        return "".join(self.lines)

    def close(self) -> None:
        """Kill the trainer, and leave nothing behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()


def start_cold(command: list[str], cwd: Path, env: dict[str, str]) -> "subprocess.Popen[str]":
    """Start a command in a session of its own."""
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


class Workplace:
    """A directory with a corpus, where the trainer runs with the tiny config and changes to it.

    Without a forge each trainer is started with a new interpreter, as users start it. The runs that
    others are compared with are made so.
    """

    def __init__(self, path: Path, forge: Forge | None = None) -> None:
        self.path = path
        self._forge = forge
        self.path.mkdir(parents=True, exist_ok=True)
        (path / "corpus.txt").write_text(CORPUS)
        self._started: list[RunningTrainer] = []

    @property
    def outputs(self) -> Path:
        return self.path / "outputs"

    def configure(self, changes: dict[str, Any] | None = None) -> Path:
        """Write the config, and return its path."""
        path = self.path / "config.yaml"
        path.write_text(yaml.safe_dump(merge(TINY, changes or {})))
        return path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "train", "--config", "config.yaml", *arguments]

    def environment(self, changes: dict[str, str] | None = None) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SUPERVISOR_")}
        return clean | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | (changes or {})

    def holding(self, text: str) -> dict[str, str]:
        """The environment in which a trainer stops after a line with that text."""
        site = self.path / "site"
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(HOLD)
        path = os.pathsep.join((str(site), str(ROOT)))
        return {"PYTHONPATH": path, "HOLD": text, "GATE": str(self.path / "gate")}

    def start(
        self,
        *arguments: str,
        changes: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        prefix: list[str] | None = None,
        hold: str | None = None,
    ) -> RunningTrainer:
        """Start the trainer and return at once; it stops after a line that holds `hold`."""
        self.configure(changes)
        command = self.command(*arguments)
        more = self.environment({**self.holding(hold), **(env or {})} if hold else env)
        if self._forge is not None and prefix is None:
            process = self._forge.start(command[3:], self.path, more)
        else:
            process = start_cold([*(prefix or []), *command], self.path, more)
        trainer = RunningTrainer(process, self.path / "gate")
        self._started.append(trainer)
        return trainer

    def run(
        self,
        *arguments: str,
        changes: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        prefix: list[str] | None = None,
        code: int = 0,
    ) -> str:
        """Run the trainer to its end, check its exit code, and return its output."""
        trainer = self.start(*arguments, changes=changes, env=env, prefix=prefix)
        ended = trainer.end()
        assert ended == code, trainer.output
        return trainer.output

    def metrics(self) -> list[dict[str, Any]]:
        lines = (self.outputs / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        for trainer in self._started:
            trainer.close()


@pytest.fixture(scope="session")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """The process from which trainers are forked."""
    forge = Forge(Workplace(tmp_path_factory.mktemp("forge")).environment())
    yield forge
    forge.close()


@pytest.fixture
def workplace(tmp_path: Path, forge: Forge) -> Iterator[Workplace]:
    """A fresh directory to train in, with trainers that are forked."""
    place = Workplace(tmp_path / "work", forge)
    yield place
    place.close()


@pytest.fixture
def cold_workplace(tmp_path: Path) -> Iterator[Workplace]:
    """A fresh directory to train in, with trainers that import torch themselves."""
    place = Workplace(tmp_path / "cold")
    yield place
    place.close()


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """One uninterrupted run of the tiny config, 42 steps in 2 epochs. Tests never change it."""
    place = Workplace(tmp_path_factory.mktemp("reference"))
    place.run()
    place.close()
    return place


@pytest.fixture(scope="session")
def assert_same_training() -> Callable[[Path, Path], None]:
    """Return a function that asserts equal weights, states and loss curves, bit for bit."""
    import torch

    def same(one: Any, other: Any, where: str) -> None:
        assert type(one) is type(other), where
        if isinstance(one, torch.Tensor):
            assert one.dtype == other.dtype, where
            assert torch.equal(one, other), where
        elif isinstance(one, dict):
            assert one.keys() == other.keys(), where
            for key in one:
                same(one[key], other[key], f"{where}[{key}]")
        elif isinstance(one, list | tuple):
            assert len(one) == len(other), where
            for index, pair in enumerate(zip(one, other, strict=True)):
                same(*pair, f"{where}[{index}]")
        else:
            assert one == other, where

    def compare(one: Path, other: Path) -> None:
        left, right = newest_checkpoint(one), newest_checkpoint(other)
        assert left.name == right.name
        names = {path.name for path in left.iterdir()} - {"manifest.json"}
        assert names >= {"model.pt", "optimizer.pt", "random_state.pt"}
        assert names == {path.name for path in right.iterdir()} - {"manifest.json"}
        for name in sorted(names):
            if name.endswith(".pt"):
                same(
                    torch.load(left / name, weights_only=True),
                    torch.load(right / name, weights_only=True),
                    name,
                )
        state = "training_state.json"
        assert (left / state).read_text() == (right / state).read_text()
        curve = (one / "metrics.jsonl").read_text()
        assert curve == (other / "metrics.jsonl").read_text()
        steps = [json.loads(line)["step"] for line in curve.splitlines()]
        assert steps == list(range(1, len(steps) + 1))

    return compare


def newest_checkpoint(directory: Path) -> Path:
    """The checkpoint with the most steps."""

    def step(path: Path) -> int:
        return int(json.loads((path / "training_state.json").read_text())["global_step"])

    return max(directory.glob("checkpoint-*"), key=step)
