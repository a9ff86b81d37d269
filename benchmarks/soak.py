"""Random faults over real runs must not change the final weights.

Each round is a real torch training that gets the faults of its seed, until the time is over. A
broken promise ends the soak with exit code 1, and the folder of its round stays.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults import plan
from benchmarks.hands import Hands
from benchmarks.soaked_run import SoakedRun, SoakError, Stamp
from supervisor.torch import load

STEPS = 600
FAULTS = 14
FINISH_TIMEOUT_S = 300.0
GONE_TIMEOUT_S = 45.0


@dataclass(slots=True)
class Counts:
    """What the soak did, and what it measured."""

    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    starts: int = 0
    kills_checked: int = 0
    most_steps_lost: int = 0

    def as_json(self) -> dict[str, Any]:
        """The counts as a dictionary."""
        return {
            "rounds": self.rounds,
            "faults": dict(sorted(self.faults.items())),
            "faults_total": self.faults.total(),
            "attempts": self.attempts,
            "supervisor_starts": self.starts,
            "trainer_kills_checked": self.kills_checked,
            "most_steps_lost_by_a_trainer_kill": self.most_steps_lost,
            "weights": f"equal bit for bit in {self.rounds} of {self.rounds} rounds",
            "orphans": 0,
            "double_starts": 0,
        }


def reference(folder: Path, steps: int) -> dict[str, Any]:
    """The final checkpoint of a run without faults."""
    run = SoakedRun(folder, steps)
    output = folder / "uninterrupted"
    subprocess.run(
        [sys.executable, *run.script(output)],
        env=run.environment(), check=True, stdout=subprocess.DEVNULL, timeout=FINISH_TIMEOUT_S,
    )  # fmt: skip
    return load(output / f"checkpoint-{steps}")


def play(folder: Path, seed: int, number: int, until: float, counts: Counts) -> SoakedRun:
    """Play one round. Raises SoakError."""
    run = SoakedRun(folder, STEPS)
    run.configure()
    run.start()
    hands = Hands(run)
    try:
        run.until("first step", lambda: run.trainer() is not None, FINISH_TIMEOUT_S)
        for planned in plan(seed, number, FAULTS):
            if time.monotonic() > until or run.is_finished():
                break
            run.idle(planned.after_s)
            if hands.bring(planned):
                counts.faults[planned.fault.value] += 1
        run.until("end", run.is_finished, FINISH_TIMEOUT_S)
        counts.kills_checked += hands.kills_checked
        counts.most_steps_lost = max(counts.most_steps_lost, hands.most_steps_lost)
    finally:
        run.close()
    counts.rounds += 1
    counts.attempts += len({stamp.pid for stamp in run.stamps()})
    counts.starts += run.starts
    return run


def check(run: SoakedRun, expected: dict[str, Any]) -> None:
    """Check all promises that can be checked at the end of a round. Raises SoakError."""
    stamps = run.stamps()
    if (twice := started_twice(stamps)) is not None:
        raise SoakError(f"two trainers at once: pid {twice}; see {run.folder}")
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while left := run.parties():
        if time.monotonic() > deadline:
            names = [f"{one.pid} {' '.join(one.cmdline())[:80]}" for one in left]
            raise SoakError(f"left behind: {names}; see {run.folder}")
        time.sleep(0.05)
    if run.runtime is not None and run.runtime.exists():
        raise SoakError(f"left in memory: {run.runtime}; see {run.folder}")
    found = load(run.paths.run_dir / f"checkpoint-{run.steps}")
    for name in ("model.pt", "optimizer.pt"):
        if not same(found[name], expected[name]):
            raise SoakError(f"{name} is not that of the uninterrupted run; see {run.folder}")


def started_twice(stamps: list[Stamp]) -> int | None:
    """A pid whose stamps come before and after those of another pid, or None."""
    order = [stamp.pid for stamp in sorted(stamps, key=lambda one: one.at_ns)]
    ended: set[int] = set()
    for before, pid in pairwise(order):
        if pid != before:
            ended.add(before)
        if pid in ended:
            return pid
    return None


def same(first: Any, second: Any) -> bool:
    """Whether two states are equal, tensors by value and type."""
    if isinstance(first, torch.Tensor):
        return bool(torch.equal(first, second)) and first.dtype == second.dtype
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def soak(minutes: float, seed: int, first: int) -> tuple[Counts, str | None]:
    """Play rounds until the time is over; the counts, and which promise was broken."""
    counts = Counts()
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        expected = reference(Path(place), STEPS)
    until = time.monotonic() + minutes * 60
    number = first
    while time.monotonic() < until:
        folder = Path(tempfile.mkdtemp(prefix=f"soak-{seed}-{number}-"))
        try:
            run = play(folder, seed, number, until, counts)
            check(run, expected)
        except SoakError as error:
            return counts, f"seed {seed}, round {number}: {error}"
        shutil.rmtree(folder)
        print(
            f"… round {number}: {counts.faults.total()} faults so far", file=sys.stderr, flush=True
        )
        number += 1
    return counts, None


def main() -> int:
    """Exit code 0 if every promise held."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="no fault comes after that")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--round", type=int, default=0, help="begin with this one")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    arguments = parser.parse_args()
    counts, broken = soak(arguments.minutes, arguments.seed, arguments.round)
    document = {"seed": arguments.seed, "minutes": arguments.minutes, "broken": broken}
    if broken is None:
        document |= counts.as_json()
    if arguments.json:
        print(json.dumps(document, indent=2))
    else:
        for name, value in document.items():
            print(f"{name.replace('_', ' ')}: {value}")
    return 0 if broken is None else 1


if __name__ == "__main__":
    sys.exit(main())
