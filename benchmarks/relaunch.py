"""Where the time goes from a trainer's SIGKILL to the next attempt's first step.

A shell loop, torchrun, ft_launcher, and our cold and warm launches are measured in turn. All run
the same training, which writes its own time stamps.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import peers
from benchmarks.peers import INSTALL_TIMEOUT_S, ROOT, Unavailable, make_environment
from benchmarks.relaunches import Ours, ShellLoop, Subject, Times, Workload, measure, medians
from benchmarks.report import OURS, Report, Row
from benchmarks.subjects import BenchmarkError

COLD = f"{OURS} cold"
HEAVY = ROOT / "build" / "heavy"
HEAVY_PYTHON = HEAVY / "bin" / "python"
HEAVY_SITE = HEAVY / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
# It needs torch, and finds the project's own.
HEAVY_PACKAGES = ("transformers==5.24.0", "accelerate==1.15.0")
SAVES = ("--save-steps", "10", "--snapshot-steps", "1")
WORKLOADS = {
    "toy": Workload("toy", (*SAVES, "--step-s", "0.02")),
    "large": Workload("100 M parameters", (*SAVES, "--width", "2890", "--layers", "12")),
    "heavy": Workload(
        "heavy import",
        (*SAVES, "--step-s", "0.02", "--heavy"),
        python=str(HEAVY_PYTHON),
        site=str(HEAVY_SITE),
    ),
    "trainer": Workload(
        "unchanged HF Trainer",
        (
            "--save_steps",
            "10",
            "--save_total_limit",
            "2",
            "--logging_steps",
            "10",
            "--max_steps",
            "1000000",
            "--use_cpu",
            "--report_to",
            "none",
        ),
        python=str(HEAVY_PYTHON),
        site=str(HEAVY_SITE),
        program=str(ROOT / "benchmarks" / "causal_lm.py"),
    ),
}
NEED_HEAVY = ("heavy", "trainer")
# The target from the death to the first step, as a share of the quickest peer's time.
PARTS = {"toy": 1 / 20, "heavy": 1 / 10, "trainer": 1 / 8}
PEERS = ("torchrun", "ft_launcher")
SHOWN = {
    "noticed": "death → noticed",
    "choosing": "of it, exit heard of → next checkpoint proven, chosen",
    "started": "→ program started",
    "imported": "→ its imports done",
    "chosen": "→ checkpoint chosen",
    "loaded": "→ loaded",
    "step": "→ first optimizer step finished",
    "replayed": "steps done again",
}


def subjects(wanted: list[str]) -> dict[str, Subject | Unavailable]:
    """The subjects by name, ours first, as the report needs it."""
    found: dict[str, Subject | Unavailable] = {OURS: Ours(OURS, "warm")}
    if "cold" in wanted:
        found[COLD] = Ours(COLD, "cold")
    if "shell" in wanted:
        found["shell loop"] = ShellLoop()
    for name, setup in (("torchrun", peers.torchrun), ("ft_launcher", peers.ft_launcher)):
        if name in wanted:
            progress(f"setting up {name}")
            found[name] = setup()
    return found


def install_heavy() -> str | None:
    """Install the heavy library into its own environment; why that failed, else None.

    Packages that the project has already are not installed again: the environment sees them.
    """
    if all((HEAVY_SITE / name.partition("==")[0]).is_dir() for name in HEAVY_PACKAGES):
        return None
    try:
        make_environment(HEAVY)
        subprocess.run(
            [str(HEAVY_PYTHON), "-m", "pip", "install", "--quiet", *HEAVY_PACKAGES],
            capture_output=True, text=True, check=True, timeout=INSTALL_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
    return None


def progress(text: str) -> None:
    """Print what is being measured to stderr."""
    print(f"… {text}", file=sys.stderr, flush=True)


def rows_of(key: str, values: dict[str, Times | str]) -> list[Row]:
    """The rows of one workload, one per column; the target of `step` is a share of a peer's."""
    rows = []
    for column, what in SHOWN.items():
        shown = {
            name: times if isinstance(times, str) else times.get(column, "–")
            for name, times in values.items()
        }
        if not any(isinstance(value, float) for value in shown.values()):
            continue
        references = [value for name in PEERS if isinstance(value := shown.get(name), float)]
        target = None
        if column == "step" and key in PARTS and references:
            target = min(references) * PARTS[key]
        unit = "steps" if column == "replayed" else "ms"
        rows.append(Row(f"{WORKLOADS[key].name}: {what}", unit, shown, target))
    return rows


def run(workloads: list[str], wanted: list[str], deaths: int) -> Report:
    """Measure everything, in turn. Raises BenchmarkError if ours fails."""
    found = subjects(wanted)
    about = {
        name: f"not available: {one.reason}" if isinstance(one, Unavailable) else _about(one)
        for name, one in found.items()
    }
    rows: list[Row] = []
    for key in workloads:
        reason = install_heavy() if key in NEED_HEAVY else None
        values: dict[str, Times | str] = {}
        for name, subject in found.items():
            if isinstance(subject, Unavailable) or reason is not None:
                values[name] = "not available"
                continue
            progress(f"{WORKLOADS[key].name}: {name}, {deaths} deaths")
            with tempfile.TemporaryDirectory(prefix="relaunch-") as folder:
                try:
                    times = medians(measure(subject, WORKLOADS[key], Path(folder), deaths))
                    progress(f"  {times['step']:.0f} ms to the first step")
                    values[name] = times
                except BenchmarkError as error:
                    if isinstance(subject, Ours):
                        raise
                    progress(f"{name}: {error}")
                    values[name] = "failed"
        if reason is not None:
            progress(f"no heavy library: {reason}")
            continue
        rows += rows_of(key, values)
    notes = (
        f"Medians of {deaths} deaths. ms from the SIGKILL, by CLOCK_MONOTONIC stamps that the"
        " training writes; noticed: the line in the supervisor's own log.",
        f"The heavy import is `from transformers import Trainer` ({', '.join(HEAVY_PACKAGES)}).",
        "÷ is ours, warm, over the other.",
    )
    return Report("From SIGKILL to the next step", about, rows, notes)


def _about(subject: Subject) -> str:
    match subject:
        case Ours():
            return f"launch: {{mode: {subject.mode}}}"
        case ShellLoop():
            return "until python …; do echo …; done (bash)"
        case _:
            return f"{subject.name} of {subject.version}"


def main() -> int:
    """Exit code 0 if every target is reached, else 1."""
    parser = argparse.ArgumentParser(prog="benchmarks.relaunch", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--deaths", type=int, default=7, help="how many deaths are timed")
    parser.add_argument(
        "--workloads", default="toy,large,heavy,trainer", help="separated by commas"
    )
    parser.add_argument(
        "--peers", default="cold,shell,torchrun,ft_launcher", help="separated by commas"
    )
    arguments = parser.parse_args()
    report = run(arguments.workloads.split(","), arguments.peers.split(","), arguments.deaths)
    if arguments.json:
        print(report.as_json())
    else:
        report.show()
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
