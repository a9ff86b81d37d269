"""What a checkpoint costs: the stall of training, the disk, validation, loading and memory.

Our saver is measured beside torch.save and torch's distributed checkpoint. Each save runs in a
fresh process, and the savers take turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import ROOT
from benchmarks.report import OURS, Report, Row
from benchmarks.subjects import BenchmarkError

PEERS = ("torch.save", "DCP save", "DCP thread", "DCP process")
NAMES = (OURS, *PEERS, "memory alone", "dd alone", "control")
SIZES = "100MB,800MB,3GB"
UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9}
TIMEOUT_S = 3600.0

Result = dict[str, Any]
"""The JSON document that `benchmarks.saving` prints."""


def bytes_of(text: str) -> float:
    """Parse a size like `800MB` into bytes. Raises ValueError."""
    number, unit = text.strip()[:-2], text.strip()[-2:].upper()
    if unit not in UNITS:
        raise ValueError(f"{text!r}: a size ends in one of {', '.join(UNITS)}")
    return float(number) * UNITS[unit]


def stall(windows: Sequence[dict[str, Any]]) -> float:
    """The stall of one save in multiples of a memcpy, from several saves.

    The stall is the median time of the call, plus the slow-down of each of the ten steps after it.
    A step's slow-down is its time beyond the median of the ten steps before the save; the median
    over the saves counts. Each save is compared with the memcpy and the steps measured beside it,
    because the speed of a shared machine changes within a minute.
    """
    call: float = statistics.median(one["call_s"] / one["memcpy_s"] for one in windows)
    after: float = sum(map(statistics.median, zip(*map(_slow_down, windows), strict=True)))
    return call + after


def _slow_down(window: dict[str, Any]) -> list[float]:
    base_s = statistics.median(window["before_s"])
    return [(step_s - base_s) / window["memcpy_s"] for step_s in window["after_s"]]


def stall_of_a_step(windows: Sequence[dict[str, Any]]) -> float:
    """The stall of one save in percent of one step."""
    step_s: float = statistics.median(statistics.median(one["before_s"]) for one in windows)
    memcpy_s: float = statistics.median(one["memcpy_s"] for one in windows)
    return stall(windows) * memcpy_s / step_s * 100


def values_of(results: Sequence[Result]) -> dict[str, float]:
    """Everything that was measured of one saver, by the key of its row."""
    firsts = [result["stalls"][0] for result in results]
    others = [window for result in results for window in result["stalls"][1:]]
    everything = firsts + others
    values = {
        "first": stall(firsts),
        "median": stall(others or firsts),
        "of a step": stall_of_a_step(everything),
        "call": statistics.median(one["call_s"] for one in everything) * 1e3,
        "set-up": statistics.median(result["set_up_s"] for result in results),
    }
    durable = [pair for result in results for pair in result["durable"]]
    if durable:
        values["durable"] = statistics.median(save_s for save_s, _ in durable)
        values["durable ÷ dd"] = statistics.median(save_s / dd_s for save_s, dd_s in durable)
        values["load"] = statistics.median(s for result in results for s in result["load_s"])
        values["peak"] = max(result["peak_bytes"] for result in results) / 1e6
    values.update(_validation([found for one in results if (found := one["validation"])]))
    return values


def _validation(found: Sequence[dict[str, Any]]) -> dict[str, float]:
    if not found:
        return {}
    gigabytes = found[0]["bytes"] / 1e9
    cold = [pair for one in found for pair in one["cold"]]
    return {
        "cold": gigabytes / statistics.median(ours_s for ours_s, _ in cold),
        "cold ÷ dd": statistics.median(ours_s / dd_s for ours_s, dd_s in cold),
        "cached": gigabytes / statistics.median(s for one in found for s in one["cached"]),
        "unchanged": statistics.median(s for one in found for s in one["unchanged"]) * 1e3,
    }


# A target is an upper bound, so validation has its target as a time, not as a rate.
ROWS: tuple[tuple[str, str, str, float | None], ...] = (
    ("first", "stall, first save", "× memcpy", 1.15),
    ("median", "stall, the saves after it", "× memcpy", 1.15),
    ("of a step", "stall, of a step", "%", None),
    ("call", "the call alone", "ms", None),
    ("set-up", "set up, once", "s", None),
    ("durable", "save begun → durable", "s", None),
    ("durable ÷ dd", "the same, ÷ dd conv=fsync", "×", 1.3),
    ("cold", "validation, not in the page cache", "GB/s", None),
    ("cold ÷ dd", "the same as time, ÷ dd iflag=direct", "×", 1.25),
    ("cached", "validation, cached", "GB/s", None),
    ("unchanged", "validation, proven before", "ms", 5.0),
    ("load", "load, cached", "s", None),
    ("peak", "memory beyond training's, peak", "MB", None),
)
# A device copies while it trains, so on a device the target is a share of a step, not a memcpy.
ON_DEVICE = {"first": None, "median": None, "of a step": 1.0}


def report(name: str, results: dict[str, list[Result]], device: str) -> Report:
    """The results of one state size as a table."""
    values = {saver: values_of(found) for saver, found in results.items()}
    rows = []
    for key, what, unit, target in ROWS:
        here = ON_DEVICE.get(key, target) if device != "cpu" else target
        found = {saver: values[saver].get(key, "–") for saver in results}
        rows.append(Row(what, unit, found, here))
    one = results[OURS][0]
    saves = len(one["stalls"])
    subjects = {
        saver: f"{len(found)} processes of {saves} saves" for saver, found in results.items()
    }
    notes = (
        f"{one['bytes'] / 1e6:.0f} MB of model and AdamW state on {device}, trained on"
        f" {one['threads']} of {os.cpu_count()} cores.",
        "memory alone: our snapshot, which stays in memory. dd alone: no snapshot, but dd writes as"
        " many bytes to the disk meanwhile (bs=1M conv=fsync, nice 10).",
        "control: nothing is saved. What its stall is beside 0 is the noise of the measurement.",
    )
    return Report(f"A checkpoint of {name}", subjects, rows, notes, shows_ratios=False)


def measure(saver: str, state_bytes: float, arguments: argparse.Namespace) -> Result:
    """Measure one saver in a fresh process. Raises BenchmarkError."""
    argv = [
        sys.executable, "-m", "benchmarks.saving", "--saver", saver, "--bytes", str(state_bytes),
        "--saves", str(arguments.saves), "--threads", str(arguments.threads),
        "--device", arguments.device, "--directory", str(arguments.directory),
    ]  # fmt: skip
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(arguments.threads)},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    if done.returncode:
        raise BenchmarkError(f"{saver} failed:\n{done.stderr}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def run(arguments: argparse.Namespace) -> list[Report]:
    """Measure all sizes.

    The savers take turns, so that changes of the machine's speed meet all alike.
    """
    savers = [name for name in NAMES if name in (OURS, *arguments.savers.split(","))]
    reports = []
    for size in arguments.sizes.split(","):
        results: dict[str, list[Result]] = {name: [] for name in savers}
        for number in range(arguments.processes):
            for name in savers:
                print(f"… {size}: {name}, process {number + 1}", file=sys.stderr, flush=True)
                results[name].append(measure(name, bytes_of(size), arguments))
        reports.append(report(size, results, arguments.device))
    return reports


def main() -> int:
    """Exit code 0 if every target is reached, else 1."""
    parser = argparse.ArgumentParser(prog="benchmarks.checkpoint", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--sizes", default=SIZES, help=f"of the state ({SIZES})")
    parser.add_argument("--processes", type=int, default=3, help="fresh processes of each (3)")
    parser.add_argument("--saves", type=int, default=6, help="saves in each, the first too (6)")
    parser.add_argument(
        "--savers", default=",".join(NAMES), help="separated by commas (all); ours always"
    )
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument(
        "--threads",
        type=int,
        default=max(1, (os.cpu_count() or 2) - 1),
        help="that training has; the rest is for who saves meanwhile (all cores but one)",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=ROOT / "build" / "bench-checkpoint",
        help="on the disk to be measured; removed afterwards (build/bench-checkpoint)",
    )
    arguments = parser.parse_args()
    unknown = set(arguments.savers.split(",")) - set(NAMES)
    if unknown:
        parser.error(f"no such savers: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    reports = run(arguments)
    if arguments.json:
        print(json.dumps([one.as_document() for one in reports], indent=2, ensure_ascii=False))
    else:
        for one in reports:
            one.show()
    return 0 if all(one.holds for one in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
