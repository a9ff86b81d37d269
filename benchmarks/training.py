"""A small, exact training that any supervisor can start; it records its own events and times.

Each line of the stamps file holds a name, the pid, a step (or -), and CLOCK_MONOTONIC in
nanoseconds. The training itself writes it, so that all supervisors are measured alike. Batches
depend only on the step's number, so the weights at a step are always the same.
"""

import time

BEGAN_NS = time.monotonic_ns()

import argparse  # noqa: E402 -- the first stamp comes before any import that takes time
import json  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402


class Stamps:
    """Appends lines that a SIGKILL cannot tear."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(self, name: str, step: int | None = None, at_ns: int | None = None) -> None:
        """Append one line."""
        when = time.monotonic_ns() if at_ns is None else at_ns
        where = "-" if step is None else step
        os.write(self._fd, f"{name} {os.getpid()} {where} {when}\n".encode())


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stamps", type=Path, required=True)
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--save-steps", type=int, default=10)
    parser.add_argument("--snapshot-steps", type=int, default=1)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--step-s", type=float, default=0.0, help="a step takes so long at least")
    parser.add_argument("--plain", action="store_true", help="torch.save, as without us")
    parser.add_argument("--heavy", action="store_true", help="import a heavy library")
    return parser.parse_args()


ARGUMENTS = parse()
STAMPS = Stamps(ARGUMENTS.stamps)
STAMPS.note("started", at_ns=BEGAN_NS)

if ARGUMENTS.heavy:
    from transformers import Trainer  # type: ignore[import-not-found]  # noqa: F401

import torch  # noqa: E402
from torch import nn  # noqa: E402

from supervisor.torch import Checkpointer, load, settle  # noqa: E402
from supervisor.worker import attach  # noqa: E402


def newest(directory: Path) -> Path | None:
    """The newest checkpoint of a directory, for supervisors that choose none."""
    directory.mkdir(parents=True, exist_ok=True)
    if not ARGUMENTS.plain:
        for problem in settle(directory):
            print(problem, flush=True)
    found = [path.parent for path in directory.glob("checkpoint-*/training_state.json")]
    return max(found, key=lambda path: int(path.name.partition("-")[2]), default=None)


class PlainSaves:
    """What a script does without us: torch.save every so many steps, and a rename."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._parts: dict[str, nn.Module | torch.optim.Optimizer] = {
            "model.pt": model,
            "optimizer.pt": optimizer,
        }

    def after_step(self, step: int) -> None:
        """Save if it is time."""
        if step % ARGUMENTS.save_steps:
            return
        place = ARGUMENTS.checkpoints / f"checkpoint-{step}"
        stage = place.with_name(f"saving-{step}")
        stage.mkdir(exist_ok=True)
        for name, part in self._parts.items():
            torch.save(part.state_dict(), stage / name)
        (stage / "training_state.json").write_text(json.dumps({"global_step": step}))
        stage.rename(place)
        for old in ARGUMENTS.checkpoints.glob("checkpoint-*"):
            if old != place:
                shutil.rmtree(old)

    def run(self, first: int, train: Callable[[int], None]) -> None:
        """Train and save until the steps are done; a benchmark ends the process before."""
        for step in range(first, ARGUMENTS.steps + 1):
            train(step)
            self.after_step(step)


def build(width: int, layers: int) -> nn.Module:
    """Layers of `width` squared, with the same weights each time."""
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(layers)]
    return nn.Sequential(*blocks)


def main() -> None:
    """Train, and end as a supervisor asks."""
    run = attach()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    model = build(ARGUMENTS.width, ARGUMENTS.layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    is_supervised = run.snapshot_dir is not None or run.resume_from is not None
    chosen = run.resume_from if is_supervised else newest(ARGUMENTS.checkpoints)
    STAMPS.note("chosen")
    first = 1
    if chosen is not None:
        content = load(chosen)
        model.load_state_dict(content["model.pt"])
        optimizer.load_state_dict(content["optimizer.pt"])
        first = content["training_state.json"]["global_step"] + 1
        del content
    STAMPS.note("loaded", first - 1)

    def train(step: int) -> None:
        began = time.monotonic()
        batch = torch.randn(8, ARGUMENTS.width, generator=torch.Generator().manual_seed(step))
        loss = model(batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.beat(step=step, loss=loss.item())
        STAMPS.note("step", step)
        time.sleep(max(0.0, began + ARGUMENTS.step_s - time.monotonic()))

    if ARGUMENTS.plain:
        PlainSaves(model, optimizer).run(first, train)
        return
    keep = Checkpointer(
        {"model.pt": model, "optimizer.pt": optimizer},
        directory=ARGUMENTS.checkpoints,
        snapshot_steps=ARGUMENTS.snapshot_steps,
        save_steps=ARGUMENTS.save_steps,
    )
    with keep:
        for step in range(first, ARGUMENTS.steps + 1):
            train(step)
            if run.should_stop:
                with run.phase("save"):
                    saved = keep.save(step, kind="emergency", wait=True).saved
                place = saved.path if saved is not None and saved.ok else None
                run.exit_preempted(checkpoint=place, step=step)
            keep.after_step(step)
        with run.phase("save"):
            keep.save(ARGUMENTS.steps, kind="final", wait=True)
    STAMPS.note("finished", ARGUMENTS.steps)
    run.finish(step=ARGUMENTS.steps)


if __name__ == "__main__":
    main()
