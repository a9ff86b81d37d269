"""Unchanged training commands under `supervisor run -- …`, and the same commands alone."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from supervisor.rundir.paths import RunPaths
from tests.e2e.conftest import Supervised
from tests.integrations.trainers import ONE_THREAD, SCRIPTS, trainers_python

# A launch imports torch and a library; some start a second interpreter that does.
PATIENCE_S = 600.0


class CommandRun(Supervised):
    """A command as a user types it behind `supervisor run --`; its run is `runs/NAME`."""

    def __init__(self, folder: Path, library: str) -> None:
        super().__init__(folder)
        self.config.unlink()
        self.python_of_trainer = trainers_python(library)
        self.words: list[str] = []
        self.out = folder / "out"

    def use(self, *words: str, name: str, faults: str = "", **env: Any) -> None:
        """Have this command run, which gets this name by itself; `faults` as in `faults.py`."""
        self.words = list(words)
        self.run_dir = self.folder / "runs" / name
        self.paths, self.config = RunPaths(self.run_dir), self.run_dir / "config.yaml"
        self.env = {**ONE_THREAD, "HF_HUB_OFFLINE": "1", "HF_HOME": str(self.folder / "hf")}
        self.env |= {key: str(value) for key, value in env.items()}
        # The adapters must not need what is configured: the environment is that of a terminal.
        self.environ = {**self.env, "FAULTS": faults}

    def use_script(self, script: str, *words: str, ranks: int = 1, **more: Any) -> None:
        """Have a script of the tests run, by torchrun if there are several ranks."""
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        before = torchrun if ranks > 1 else []
        name = script.removesuffix(".py")
        self.use(self.python_of_trainer, *before, str(SCRIPTS / script), *words, name=name, **more)

    def tool(self, name: str) -> str:
        """A console script beside the trainer's Python."""
        return str(Path(self.python_of_trainer).with_name(name))

    def start(self, *options: str) -> "subprocess.Popen[str]":
        """Start `supervisor run -- COMMAND` in the background."""
        command = [sys.executable, "-m", "supervisor", "run", "--plain", *options, "--"]
        with self.output.open("a") as out:
            self.process = subprocess.Popen(
                [*command, *self.words], cwd=self.folder, env={**os.environ, **self.environ},
                stdout=out, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        return self.process

    def add(self, **sections: Any) -> None:
        """Add to the configuration that the first start has written, as a user edits it."""
        body = yaml.safe_load(self.config.read_text())
        for name, value in sections.items():
            merged = {**body.get(name, {}), **value} if isinstance(value, dict) else value
            body[name] = merged
        self.config.write_text(yaml.safe_dump(body, sort_keys=False))

    def alone(self, *, folder: str = "alone", faults: str = "") -> Path:
        """Run the same command uninterrupted and without a supervisor; the folder it ran in."""
        where = self.folder / folder
        where.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            self.words, cwd=where, env={**kept, **self.env, "FAULTS": faults}, text=True,
            capture_output=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return where

    def ends(self) -> int:
        """Start, and wait for the end; the exit code."""
        self.start()
        return self.finish(PATIENCE_S)

    def failures(self) -> list[str]:
        """What ended the attempts."""
        return [entry["failure"] for entry in self.entries("attempt_ended")]

    def resumed(self) -> list[int | None]:
        """The checkpoints' steps from which the attempts began."""
        chosen = [entry["checkpoint"] for entry in self.entries("attempt_started")]
        return [None if one is None else one["step"] for one in chosen]

    def newest(self) -> Path:
        """The newest of the folders `checkpoint-N`."""
        return max(self.out.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))

    def tear_newest(self, file: str = "model.safetensors") -> int:
        """Cut a file of the newest checkpoint short, as a machine that dies does; its step."""
        newest = self.newest()
        os.truncate(newest / file, (newest / file).stat().st_size // 2)
        return int(newest.name.split("-")[1])


def digests(folder: Path, pattern: str = "*.safetensors") -> dict[str, str]:
    """The digests of files below a folder, by their place; there is at least one."""
    found = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
    }
    assert found, f"no {pattern} below {folder}"
    return found


def same_checkpoint(one: Path, other: Path, *patterns: str) -> bool:
    """Whether all files of these patterns in two checkpoints are equal, byte by byte."""
    return all(digests(one, pattern) == digests(other, pattern) for pattern in patterns)
