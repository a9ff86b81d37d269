"""What it costs to be told: messages, pings and metrics, beside the same run without them.

A third run has targets that never answer: nothing may be late because of them.
"""

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.cost import Cost, measure
from benchmarks.overhead import MB, SETTLE_S, measure_beat, progress
from benchmarks.receiver import Receiver, receiver
from benchmarks.report import OURS, Report, Row
from benchmarks.subjects import (
    START_TIMEOUT_S,
    WORKLOAD,
    BenchmarkError,
    Ours,
    noticed_ms,
    start,
    start_training,
)

WITHOUT, SILENT = "without", "silent targets"
EVENTS = (
    "held", "hang", "first_restart", "restarts", "recovered", "finished", "preempted",
    "requeue_failed", "disk", "stuck", "daemon_down",
)  # fmt: skip
Values = dict[str, float | str]
Setting = Callable[[Path], Mapping[str, Any]]


@contextmanager
def settings() -> Iterator[tuple[dict[str, Setting], dict[str, Receiver]]]:
    """What each subject has in its configuration, and who receives what it tells."""
    with ExitStack() as stack:
        receivers = {
            OURS: stack.enter_context(receiver(answers=True)),
            SILENT: stack.enter_context(receiver(answers=False)),
        }

        def telling(to: Receiver, folder: Path) -> Mapping[str, Any]:
            (folder / "metrics").mkdir(exist_ok=True)
            return {
                "notify": {
                    "to": [to.message_address], "events": EVENTS, "ping": to.ping_address,
                },
                "metrics": {"textfile": str(folder / "metrics")},
            }  # fmt: skip

        found: dict[str, Setting] = {WITHOUT: lambda _: {}}
        for name, one in receivers.items():
            found[name] = partial(telling, one)
        yield {name: found[name] for name in (OURS, WITHOUT, SILENT)}, receivers


@contextmanager
def subject(setting: Setting, **more: Any) -> Iterator[tuple[Ours, Path]]:
    """A supervisor with a setting, and an empty directory for its run."""
    with tempfile.TemporaryDirectory(prefix="telling-") as folder:
        yield replace(Ours(), more={**setting(Path(folder)), **more}), Path(folder)


def measure_training(setting: Setting, seconds: float) -> dict[str, Cost]:
    """The cost of each process of the supervisor while training prints and beats."""
    with subject(setting) as (one, folder):
        running = start_training(one, folder)
        try:
            time.sleep(SETTLE_S)
            pids = running.overhead_pids()
            # A child that sends a message may end at any time.
            senders = [name for name in pids if name.startswith("monitor")]
            return measure(pids, seconds, brief=senders)
        finally:
            running.end()


def first_step_ms(setting: Setting) -> float:
    """From the start of `supervisor run` to the trainer's first step, in ms."""
    with subject(setting) as (one, folder):
        began = time.monotonic()
        running = start_training(one, folder)
        taken = time.monotonic() - began
        running.end()
    return taken * 1e3


def end_ms(setting: Setting) -> tuple[float, float]:
    """From SIGTERM to the trainer's end, and to that of the supervisor, in ms."""
    with subject(setting) as (one, folder):
        running = start_training(one, folder)
        trainer = next(iter(_trainers(running.process)))
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        while trainer.is_running():
            time.sleep(0.001)
        trained = time.monotonic() - began
        running.process.wait(60.0)
        return trained * 1e3, (time.monotonic() - began) * 1e3


def _trainers(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    tree = psutil.Process(process.pid).children(recursive=True)
    return [one for one in tree if WORKLOAD in one.cmdline()[1:3]]


def held_s(setting: Setting, to: Receiver) -> float:
    """From the last death of a run that is then held to its message's arrival, in s."""
    with subject(setting, restart={"backoff": "100ms", "max_failures": 1}) as (one, folder):
        record, before = folder / "deaths", len(to.messages)
        running = start(one, folder, ["--seconds", "0.1", "--deaths", str(record)])
        try:
            running.until("message", lambda: len(to.messages) > before, START_TIMEOUT_S)
        except BenchmarkError:
            running.end()
            raise
        running.process.wait(START_TIMEOUT_S)
        return (to.messages[before] - int(record.read_text().splitlines()[-1])) / 1e9


def values_of(name: str, setting: Setting, deaths: int) -> Values:
    """The times of one subject, by the key of their row."""
    progress(f"{name}: start, end, {deaths} deaths, heartbeat")
    with subject(setting) as (one, folder):
        notice = statistics.median(noticed_ms(one, folder, deaths))
    with subject(setting) as (one, _):
        beat = measure_beat(one)
    ends = [end_ms(setting) for _ in range(3)]
    return {
        "notice": notice,
        "beat": beat,
        "first": statistics.median(first_step_ms(setting) for _ in range(3)),
        "trainer": statistics.median(one for one, _ in ends),
        "end": statistics.median(one for _, one in ends),
    }


def costs_of(found: Mapping[str, Setting], seconds: float, rounds: int) -> dict[str, Values]:
    """Memory and CPU of each subject: medians over rounds in which they take turns."""
    seen: dict[str, list[dict[str, Cost]]] = {name: [] for name in found}
    for number in range(rounds):
        order = list(found) if number % 2 == 0 else list(found)[::-1]
        for name in order:
            progress(f"{name}: {seconds:.0f} s of training, round {number + 1}")
            seen[name].append(measure_training(found[name], seconds))
    costs: dict[str, Values] = {}
    for name, several in seen.items():
        costs[name] = {
            "daemon": statistics.median(one["daemon"].rss_bytes for one in several) / MB,
            "pss": statistics.median(sum(c.pss_bytes for c in one.values()) for one in several)
            / MB,
            "daemon cpu": statistics.median(one["daemon"].cpu_percent for one in several),
            "cpu": statistics.median(sum(c.cpu_percent for c in one.values()) for one in several),
        }
    return costs


ROWS = (
    ("daemon", "daemon, resident", "MB"),
    ("pss", "all of it, proportional", "MB"),
    ("daemon cpu", "daemon, of a core, at ten log lines and beats a second", "%"),
    ("cpu", "all of it, of a core", "%"),
    ("beat", "one heartbeat, as the trainer pays it", "ns"),
    ("first", "`supervisor run` → first step, cold", "ms"),
    ("notice", "exit → noticed", "ms"),
    ("trainer", "SIGTERM → the trainer's end", "ms"),
    ("end", "SIGTERM → the supervisor's end", "ms"),
)


def run(seconds: float, rounds: int, deaths: int) -> Report:
    """Measure all three. Raises BenchmarkError."""
    with settings() as (found, receivers):
        values = costs_of(found, seconds, rounds)
        for name, setting in found.items():
            values[name] |= values_of(name, setting, deaths)
        held = [held_s(found[OURS], receivers[OURS]) for _ in range(rounds)]
        pings = len(receivers[OURS].pings)
    rows = [
        Row(what, unit, {name: values[name][key] for name in found}) for key, what, unit in ROWS
    ]

    def beyond(key: str) -> dict[str, float | str]:
        base = values[WITHOUT][key]
        return {
            name: value - base  # type: ignore[operator]
            for name in (OURS, SILENT)
            if not isinstance(value := values[name][key], str)
        }

    rows += [
        Row("daemon, resident, beyond the run without", "MB", beyond("daemon"), 2.0),
        Row("all of it, of a core, beyond the run without", "%", beyond("cpu"), 0.05),
        Row("a held run: last death → its message at the target", "s",
            {OURS: statistics.median(held)}, 5.0),
    ]  # fmt: skip
    subjects = {
        OURS: "messages, pings and metrics, to targets that answer",
        WITHOUT: "none of them",
        SILENT: "all of them, to targets that read and never answer",
    }
    notes = (
        f"Memory and CPU: medians of {rounds} rounds of {seconds:.0f} s, in turn; threads and"
        f" reaped children included. {pings} pings arrived.",
        f"Deaths: median of {deaths}; start and end: medians of 3. MB is 10^6 bytes.",
    )
    return Report("The cost of being told", subjects, rows, notes)


def main() -> int:
    """Exit code 0 if every target is reached, else 1."""
    parser = argparse.ArgumentParser(prog="benchmarks.telling", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long a round measures CPU")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--deaths", type=int, default=7, help="how many deaths are timed")
    arguments = parser.parse_args()
    report = run(arguments.seconds, arguments.rounds, arguments.deaths)
    if arguments.json:
        print(report.as_json())
    else:
        report.show()
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
