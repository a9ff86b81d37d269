"""A stand-in for training that every supervisor can start: prints, beats, and dies on time.

It must not import torch, because the cost of watching is measured, not the cost of the work.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

Beat = Callable[[int], None]


def no_beat(step: int) -> None:
    """Do nothing, for supervisors without a heartbeat."""


def supervisor_beat() -> Beat:
    """Attach to the supervisor; returns a beat through the mapped page of `supervisor.worker`."""
    from supervisor.worker import attach

    run = attach()
    return lambda step: run.beat(step=step, epoch=0, loss=2.5)


def ft_launcher_beat() -> Beat:
    """Connect to the rank monitor as ft_launcher's client does; returns a beat through it."""
    from nvidia_resiliency_ext.fault_tolerance import RankMonitorClient

    client = RankMonitorClient()
    client.init_workload_monitoring()
    return lambda step: client.send_heartbeat()


BEATS: dict[str, Callable[[], Beat]] = {
    "none": lambda: no_beat,
    "supervisor": supervisor_beat,
    "ft_launcher": ft_launcher_beat,
}


def work(beat: Beat, seconds: float, lines_per_second: float, ready: Path | None) -> None:
    """Print a line and beat at a steady pace for `seconds`; create `ready` at the first step."""
    began = time.monotonic()
    step = 0
    while (now := time.monotonic()) < began + seconds:
        step += 1
        beat(step)
        print(f"step {step} epoch 0 loss 2.5000 lr 1.0e-03 grad_norm 0.51 99 tokens/s", flush=True)
        if ready is not None and step == 1:
            ready.touch()
        time.sleep(max(0.0, began + step / lines_per_second - now))


def time_beats(beat: Beat, rounds: int, calls: int) -> list[float]:
    """Nanoseconds per beat, one mean for each round."""
    means = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        for step in range(calls):
            beat(step)
        means.append((time.perf_counter_ns() - began) / calls)
    return means


def main() -> None:
    """Work; with `--deaths`, record the moment of death and exit at once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--beat", choices=sorted(BEATS), default="none")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--lines-per-second", type=float, default=10.0)
    parser.add_argument("--ready", type=Path, help="create this file at the first step")
    parser.add_argument("--deaths", type=Path, help="append the monotonic ns of the end, exit 3")
    parser.add_argument("--time-beats", type=Path, help="write the ns of a beat, a round a line")
    arguments = parser.parse_args()
    beat = BEATS[arguments.beat]()
    if arguments.time_beats:
        calls = 20_000 if arguments.beat == "supervisor" else 100
        means = time_beats(beat, 30, calls)
        stage = arguments.time_beats.with_suffix(".stage")
        stage.write_text("".join(f"{mean}\n" for mean in means))
        stage.rename(arguments.time_beats)
        return
    work(beat, arguments.seconds, arguments.lines_per_second, arguments.ready)
    if arguments.deaths:
        fd = os.open(arguments.deaths, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        sys.stdout.flush()
        os.write(fd, f"{time.monotonic_ns()}\n".encode())
        # os._exit skips the interpreter's shutdown, whose milliseconds are not the supervisor's.
        os._exit(3)


if __name__ == "__main__":
    main()
