"""What supervision costs: memory, CPU, a heartbeat, a `status` call, the time to notice a death.

Our supervisor is measured beside torchrun and ft_launcher, with the same workload, in turn.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import peers
from benchmarks.cost import Cost, measure
from benchmarks.peers import ROOT, Peer, Unavailable
from benchmarks.report import OURS, Report, Row
from benchmarks.subjects import Ours, Subject, noticed_ms, start, start_training

SETTLE_S = 5.0
LOOKS = 9
MB = 1e6


def measure_training(subject: Subject, seconds: float) -> tuple[dict[str, Cost], dict[str, float]]:
    """The cost of each process while training prints and beats; for ours also ms per `status`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        running = start_training(subject, Path(folder))
        try:
            time.sleep(SETTLE_S)
            costs = measure(running.overhead_pids(), seconds)
            looks = measure_looks(Path(folder)) if subject.name == OURS else {}
        finally:
            running.end()
    return costs, looks


def measure_looks(directory: Path) -> dict[str, float]:
    """The median ms of `status` with one core busy: by run directory and by file."""
    targets = {"look": directory / "run", "look by file": directory / "bench.yaml"}
    found: dict[str, list[float]] = {row: [] for row in targets}
    with busy_core():
        for _ in range(LOOKS):
            for row, target in targets.items():
                found[row].append(look_ms(target))
    return {row: statistics.median(times) for row, times in found.items()}


@contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy, as a training does; the workload itself only waits."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def look_ms(target: Path) -> float:
    """Wall time of one `supervisor status` in ms, as the shell sees it."""
    argv = [sys.executable, "-m", "supervisor", "status", str(target)]
    began = time.perf_counter()
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1e3


def measure_notice(subject: Subject, deaths: int) -> float:
    """The median time to notice a death, in ms."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return statistics.median(noticed_ms(subject, Path(folder), deaths))


def measure_beat(subject: Subject) -> float:
    """The median over the rounds of one heartbeat's cost to the trainer, in ns."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        record = Path(folder, "beats")
        workload = ["--beat", subject.beat, "--time-beats", str(record)]
        running = start(subject, Path(folder), workload)
        try:
            running.until("beats timed", record.exists, 60.0)
        finally:
            running.end()
        return statistics.median(map(float, record.read_text().splitlines()))


def rows_of(subject: Subject, seconds: float, deaths: int) -> dict[str, float | str]:
    """Everything that was measured of one subject, by the key of its row."""
    progress(f"{subject.name}: {seconds:.0f} s of training")
    costs, looks = measure_training(subject, seconds)
    progress(f"{subject.name}: {deaths} deaths")
    values: dict[str, float | str] = {"notice": measure_notice(subject, deaths)}
    root = costs["root"]
    total = sum((cost for name, cost in costs.items() if name != "root"), root)
    daemon = costs.get("daemon")
    monitors = [cost for name, cost in costs.items() if name.startswith("monitor")]
    values["decides"] = (daemon or root).rss_bytes / MB
    if daemon is not None:
        values["beside"] = root.rss_bytes / MB
    elif monitors:
        values["beside"] = max(cost.rss_bytes for cost in monitors) / MB
    values["pss"] = total.pss_bytes / MB
    values["cpu"] = total.cpu_percent
    values["beat"] = "none" if subject.beat == "none" else measure_beat(subject)
    return {**values, **looks}


ROWS: tuple[tuple[str, str, str, float | None], ...] = (
    ("decides", "daemon, resident (peers: agent, launcher)", "MB", 48),
    ("beside", "launcher, resident (ft_launcher: a rank's monitor)", "MB", 16),
    ("pss", "all of it, proportional", "MB", None),
    ("cpu", "all of it, of a core, at ten log lines and beats a second", "%", 0.3),
    ("beat", "one heartbeat, as the trainer pays it", "ns", 1000),
    ("look", "`status RUN_DIR`, wall, one core busy", "ms", 150),
    ("look by file", "`status config.yaml`, wall, one core busy", "ms", 150),
    ("notice", "exit → noticed", "ms", 5),
)


def progress(text: str) -> None:
    """Print what is being measured to stderr."""
    print(f"… {text}", file=sys.stderr, flush=True)


def run(wanted: list[str], seconds: float, deaths: int) -> Report:
    """Measure all subjects in turn. Raises BenchmarkError."""
    found: dict[str, Subject | Unavailable] = {OURS: Ours()}
    for name, setup in (("torchrun", peers.torchrun), ("ft_launcher", peers.ft_launcher)):
        if name in wanted:
            progress(f"setting up {name}")
            found[name] = setup()
    values: dict[str, dict[str, float | str]] = {}
    subjects: dict[str, str] = {}
    for name, subject in found.items():
        match subject:
            case Unavailable():
                subjects[name] = f"not available: {subject.reason}"
                values[name] = {key: "not available" for key, *_ in ROWS if "look" not in key}
            case Ours() | Peer():
                about = getattr(subject, "version", "this checkout")
                subjects[name] = about
                values[name] = rows_of(subject, seconds, deaths)
    rows = [
        Row(what, unit, {name: values[name][key] for name in found if key in values[name]}, target)
        for key, what, unit, target in ROWS
    ]
    notes = (
        f"CPU over {seconds:.0f} s, threads and reaped children included; memory: the most seen.",
        f"Exit → noticed: to the line in its log, median of {deaths}; `status`: median of {LOOKS}.",
        "MB is 10^6 bytes. ÷ is ours over the peer's.",
    )
    return Report("The cost of being supervised", subjects, rows, notes)


def main() -> int:
    """Exit code 0 if every target is reached, else 1."""
    parser = argparse.ArgumentParser(prog="benchmarks.overhead", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long CPU is measured")
    parser.add_argument("--deaths", type=int, default=7, help="how many deaths are timed")
    parser.add_argument(
        "--peers", default="torchrun,ft_launcher", help="separated by commas; empty for none"
    )
    arguments = parser.parse_args()
    report = run(arguments.peers.split(","), arguments.seconds, arguments.deaths)
    if arguments.json:
        print(report.as_json())
    else:
        report.show()
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
