"""What the start-up hook costs: at the start of Python, at a library's import, and at each step.

Plain Python and Python with the hook run in turn. CPU time is compared, as the kernel counts it for
an ended process: on a busy machine the time on the clock says little.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import OURS, Report, Row
from supervisor.worker.adapters import STARTUP

PLAIN = "plain Python"
START_MS, STEP_NS, CALLBACK_NS = 1.5, 2_000.0, 20_000.0
STEPS = 20_000
PROGRAMS = (
    ("start of Python", "pass", START_MS, 1),
    ("import torch", "import torch", None, 4),
    ("import transformers.trainer", "import transformers.trainer", None, 8),
)
STEP = """
import time
from _train_supervisor.integrations.training import Training
training = Training("huggingface", "0", "out", 100)
def measure(call):
    found = []
    for _ in range(20):
        began = time.perf_counter_ns()
        for step in range({steps} // 20):
            call(step)
        found.append((time.perf_counter_ns() - began) / ({steps} // 20))
    return sorted(found)[10]
print(measure(lambda step: training.beat(step, 0.5, 1.0)))
print(measure(lambda step: training.should_stop))
import sys
finder = sys.meta_path[0]
print(measure(lambda step: finder.find_spec("torch.nn", None, None)))
"""
OPTIMIZER_STEP = """
import sys, time, torch
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
optimizer.step()
(after_step,) = sys.modules["torch.optim.optimizer"]._global_optimizer_post_hooks.values()
def measure(call):
    found = []
    for _ in range(20):
        began = time.perf_counter_ns()
        for step in range({steps} // 20):
            call(optimizer, (), {{}})
        found.append((time.perf_counter_ns() - began) / ({steps} // 20))
    return sorted(found)[10]
print(measure(after_step))
"""


def cpu_ms(python: str, code: str, *, has_hook: bool, folder: Path) -> float:
    """CPU time of one process. Raises ChildProcessError if it fails."""
    process = subprocess.Popen([python, "-c", code], env=_environment(folder, has_hook=has_hook))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ChildProcessError(f"{python} -c {code!r} ended with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def _environment(folder: Path, *, has_hook: bool) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR")}
    kept.pop("PYTHONPATH", None)
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # once compiled, as an installed package is
    if not has_hook:
        return kept
    (folder / "run" / ".supervisor").mkdir(parents=True, exist_ok=True)
    own = {"SUPERVISOR_HEARTBEAT": str(folder), "SUPERVISOR_RUN_DIR": str(folder / "run")}
    return {**kept, **own, "PYTHONPATH": STARTUP}


def has(python: str, code: str) -> bool:
    """Whether this Python can run the program at all; the first run also fills its caches."""
    return not subprocess.run([python, "-c", code], capture_output=True, check=False).returncode


def compared(python: str, code: str, times: int, folder: Path) -> tuple[float, float, float]:
    """Medians: with the hook, without, and of the differences between neighbours, in ms."""
    cpu_ms(python, code, has_hook=True, folder=folder)
    pairs = [
        (
            cpu_ms(python, code, has_hook=True, folder=folder),
            cpu_ms(python, code, has_hook=False, folder=folder),
        )
        for _ in range(times)
    ]
    ours, plain = zip(*pairs, strict=True)
    difference = statistics.median(one - other for one, other in pairs)
    return statistics.median(ours), statistics.median(plain), difference


def calls_ns(python: str, folder: Path) -> tuple[float, float, float]:
    """The ns of `beat`, of `should_stop`, and of the finder for a module that it lets pass."""
    done = subprocess.run(
        [python, "-c", STEP.format(steps=STEPS)], env=_environment(folder, has_hook=True),
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    beat, should_stop, passed = map(float, done.stdout.split())
    return beat, should_stop, passed


def sign_ns(python: str, folder: Path) -> float:
    """The ns that the hook adds to an optimizer step of torch."""
    done = subprocess.run(
        [python, "-c", OPTIMIZER_STEP.format(steps=STEPS)],
        env=_environment(folder, has_hook=True), cwd=folder, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return float(done.stdout)


def measured(python: str, times: int, folder: Path) -> Report:
    """All rows for one Python; programs that it does not have are left out."""
    rows = []
    for what, code, target, divisor in PROGRAMS:
        if not has(python, code):
            rows.append(Row(what, "ms", {OURS: "not installed", PLAIN: "not installed"}))
            continue
        ours, plain, more = compared(python, code, max(times // divisor, 3), folder)
        rows.append(Row(f"{what}, CPU", "ms", {OURS: ours, PLAIN: plain}))
        rows.append(Row(f"{what}, more than plain", "ms", {OURS: more}, target))
    beat, should_stop, passed = calls_ns(python, folder)
    rows.append(Row("import of another module", "ns", {OURS: passed}, STEP_NS))
    rows.append(Row("beat, one step", "ns", {OURS: beat}, STEP_NS))
    rows.append(Row("beat and should_stop", "ns", {OURS: beat + should_stop}, CALLBACK_NS))
    if has(python, "import torch"):
        sign = sign_ns(python, folder)
        rows.append(Row("sign of life, one optimizer step", "ns", {OURS: sign}, STEP_NS))
    subjects = {OURS: "with the start-up hook", PLAIN: python}
    note = "Medians. 'More than plain' is the median of the differences between neighbouring runs."
    return Report("The start-up hook", subjects, rows, [note])


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--times", type=int, default=40, help="runs of each Python (40)")
    parser.add_argument("--python", default=sys.executable, help="the trainer's Python")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        report = measured(arguments.python, arguments.times, Path(folder))
    if arguments.json:
        print(report.as_json())
    else:
        report.show()
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
