"""Loops of accelerate and of Lightning Fabric, a forked process for each case. Prints JSON.

The word is the library. The start-up hook is in the environment, and this package is not installed.
"""

import inspect
import json
import os
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

HEARTBEATS = Path(os.environ["SUPERVISOR_HEARTBEAT"])
SLOW_S = 0.4
Case = Callable[[], object]


def words() -> tuple[int, ...]:
    """The sign of this process: count, last, longest gap, phase, since when, stop."""
    path = HEARTBEATS / f"sign-{os.getpid()}"
    return struct.unpack_from("<6Q", path.read_bytes(), 32) if path.exists() else ()


def expect_a_save() -> None:
    """Say, as the daemon does, that the next save comes soon."""
    facts = {"interval_s": 60.0, "since_s_monotonic": time.monotonic() - 30, "grace_s": 100.0}
    facts["stop_s_monotonic"] = time.monotonic()
    (HEARTBEATS / "next-save.json").write_text(json.dumps(facts))


class Slow:
    """A part of the state that is saved and loaded slowly, and notes the phase meanwhile."""

    def __init__(self) -> None:
        self.phases: list[int] = []

    def _note(self) -> None:
        time.sleep(SLOW_S)
        self.phases.append(words()[3] if words() else -1)

    def state_dict(self) -> dict[str, int]:
        self._note()
        return {"x": 1}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._note()


class Loop:
    """A loop with one library: it trains a step, saves and loads."""

    def __init__(self, **more: Any) -> None:
        self.slow = Slow()
        model = torch.nn.Linear(2, 1)
        optimizer = torch.optim.AdamW(model.parameters())
        self._set_up(model, optimizer, **more)

    def _set_up(self, model: Any, optimizer: Any, **more: Any) -> None:
        raise NotImplementedError

    def backward(self, loss: Any) -> None:
        raise NotImplementedError

    def save(self, name: str) -> None:
        raise NotImplementedError

    def load(self, name: str) -> None:
        raise NotImplementedError

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.backward(self.model(torch.ones(3, 2)).sum())
        self.optimizer.step()

    model: Any
    optimizer: Any


def signal_in_a_save(loop: Loop) -> None:
    """Have the loop's next save send SIGTERM to this process."""
    note = loop.slow._note
    loop.slow._note = lambda: (os.kill(os.getpid(), signal.SIGTERM), note())  # type: ignore[method-assign, assignment, return-value, func-returns-value]


class OfAccelerate(Loop):
    def _set_up(self, model: Any, optimizer: Any, **more: Any) -> None:
        from accelerate import Accelerator  # type: ignore[import-not-found]

        self.own = Accelerator(cpu=True, **more)
        self.model, self.optimizer = self.own.prepare(model, optimizer)
        self.own.register_for_checkpointing(self.slow)
        self.backward = self.own.backward

    def save(self, name: str) -> None:
        self.own.save_state(name or None)

    def load(self, name: str) -> None:
        self.own.load_state(name or None)


class OfFabric(Loop):
    def _set_up(self, model: Any, optimizer: Any, **more: Any) -> None:
        from lightning.fabric import Fabric  # type: ignore[import-not-found]

        self.own = Fabric(accelerator="cpu", devices=1)
        self.model, self.optimizer = self.own.setup(model, optimizer)
        self.backward = self.own.backward

    def save(self, name: str) -> None:
        if words():
            self.slow.phases.append(words()[3])
        state = {"model": self.model, "optimizer": self.optimizer, "slow": self.slow.state_dict}
        state["slow"] = Late(self.slow)
        self.own.save(Path(name), state)

    def load(self, name: str) -> None:
        self.own.load(name, {"model": self.model, "optimizer": self.optimizer}, weights_only=False)


class Late:
    """Is pickled while a save goes on."""

    def __init__(self, slow: Slow) -> None:
        self.slow = slow

    def __reduce__(self) -> tuple[type, tuple[()]]:
        self.slow.state_dict()
        return dict, ()


LOOPS: dict[str, type[Loop]] = {"accelerate": OfAccelerate, "fabric": OfFabric}
made = LOOPS[sys.argv[1]]


def phases() -> object:
    """Steps, a slow save, a load, a step."""
    loop = made()
    loop.load_early = None  # type: ignore[attr-defined]
    loop.step()
    time.sleep(0.1)
    loop.step()
    loop.save("out/checkpoint-2")
    loop.load("out/checkpoint-2")
    loop.step()
    return [loop.slow.phases, words()]


def waits() -> object:
    """A stop that waits for the save, which ends the process."""
    expect_a_save()
    loop = made()
    loop.step()
    os.kill(os.getpid(), signal.SIGTERM)
    loop.step()
    print(json.dumps(["waits", words()[5]]), file=sys.stderr)
    loop.save("out/checkpoint-9")
    Path("out/more").write_text("adapter weights, a link to the newest")
    loop.step()
    return "went on"


def waits_at_the_end() -> object:
    """A stop that waits for the save after the last step: the script comes to its end."""
    expect_a_save()
    loop = made()
    loop.step()
    os.kill(os.getpid(), signal.SIGTERM)
    loop.save("out/checkpoint-9")
    return "ended"


def caught() -> object:
    """The script catches the exit, starts a program, and trains on until a second SIGTERM."""
    expect_a_save()
    loop = made()
    loop.step()
    os.kill(os.getpid(), signal.SIGTERM)
    loop.save("out/checkpoint-9")
    try:
        loop.step()
    except SystemExit as end:
        os.kill(os.getpid(), signal.SIGTERM)  # while it leaves, it is not disturbed
        told = "import signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)"
        words = [sys.executable, "-S", "-c", told]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        print(json.dumps(["caught", end.code, done.stdout.strip()]), file=sys.stderr, flush=True)
    loop.step()
    os.kill(os.getpid(), signal.SIGTERM)
    return "went on"


def in_a_save() -> object:
    """A stop that comes within a save, though none was due."""
    expect_a_save()
    facts = json.loads((HEARTBEATS / "next-save.json").read_text())
    loop = made()
    loop.step()
    facts["interval_s"] = 9000.0
    (HEARTBEATS / "next-save.json").write_text(json.dumps(facts))
    signal_in_a_save(loop)
    loop.save("out/checkpoint-5")
    Path("out/more").write_text("")
    loop.step()
    return "went on"


def killed_in_a_save() -> object:
    """SIGTERM within a save, from somebody else than the supervisor."""
    expect_a_save()
    facts = json.loads((HEARTBEATS / "next-save.json").read_text())
    loop = made()
    loop.step()
    facts["stop_s_monotonic"] = None
    (HEARTBEATS / "next-save.json").write_text(json.dumps(facts))
    signal_in_a_save(loop)
    loop.save("out/checkpoint-5")
    Path("out/more").write_text("")
    loop.step()
    return "went on"


def fails() -> object:
    """A save that fails: the error is the library's own."""
    loop = made()
    loop.step()
    loop.slow._note = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    try:
        loop.save("out/checkpoint-3")
    except ZeroDivisionError as error:
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        return [[name for name in files if "integrations/lib" in name], words()[3]]
    return "saved"


def numbered() -> object:
    """accelerate's own numbers."""
    if made is not OfAccelerate:
        return None
    from accelerate.utils import ProjectConfiguration  # type: ignore[import-not-found]

    config = ProjectConfiguration(project_dir="project", automatic_checkpoint_naming=True)
    loop = made(project_config=config)
    loop.step()
    loop.save("")
    loop.save("")
    loop.load("")
    return sorted(os.listdir("project/checkpoints"))


def of_a_trainer() -> object:
    """A training of an adapter has begun: its page speaks alone."""
    from _train_supervisor.integrations.training import Training  # type: ignore[import-not-found]

    training = Training("huggingface", "5", "out", 3)
    loop = made()
    loop.step()
    loop.save("out/checkpoint-1")
    loop.step()
    return [training.is_supervised, words()]


def as_without() -> object:
    """What a user sees of the methods."""
    loop: Any = made()
    method = loop.own.save_state if made is OfAccelerate else loop.own.save
    doc = (method.__doc__ or "").split()[:2]
    return [list(inspect.signature(method).parameters)[:2], doc]


def unfit() -> object:
    """A version without the methods."""
    from types import SimpleNamespace

    name = "accelerate" if made is OfAccelerate else "lightning_fabric"
    whole = f"_train_supervisor.integrations.{name}"
    __import__(whole)
    owner = type("Accelerator" if made is OfAccelerate else "Fabric", (), {})
    module = SimpleNamespace(__name__="lightning.fabric.fabric", **{owner.__name__: owner})
    try:
        sys.modules[whole].patch(module)
    except RuntimeError as error:
        return str(error)
    return None


CASES: tuple[Case, ...] = (
    phases,
    waits,
    waits_at_the_end,
    caught,
    in_a_save,
    killed_in_a_save,
    fails,
    numbered,
    of_a_trainer,
    as_without,
    unfit,
)


def run(case: Case) -> dict[str, Any]:
    """Run one case in a process and a folder of its own."""
    folder = Path(case.__name__)
    folder.mkdir()
    for path in HEARTBEATS.glob("*"):
        path.unlink()
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        code = 1
        try:
            Path("answer").write_text(json.dumps(case()))
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sign = HEARTBEATS / f"sign-{pid}"
    described = HEARTBEATS / "describe-0.json"
    answer = folder / "answer"
    return {
        "code": code,
        "answer": json.loads(answer.read_text()) if answer.exists() else None,
        "stop": struct.unpack_from("<Q", sign.read_bytes(), 72)[0] if sign.exists() else None,
        "described": json.loads(described.read_text()) if described.exists() else {},
        "saved": sorted(str(path) for path in folder.glob("out/**/*") if path.is_file()),
    }


def main() -> None:
    if made is OfAccelerate:
        import accelerate  # noqa: F401
    else:
        import lightning.fabric  # noqa: F401
    print("ANSWERS " + json.dumps({case.__name__: run(case) for case in CASES}))


main()
