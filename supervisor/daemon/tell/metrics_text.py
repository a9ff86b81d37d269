"""The run's status as Prometheus text, for the textfile collector of node_exporter.

Names, units and types: prometheus.io/docs/practices/naming. The format:
prometheus.io/docs/instrumenting/exposition_formats. The collector refuses all files of a directory
once two of them hold the same series. So each line has the run's id as a label.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import supervisor
from supervisor.core.status import Status
from supervisor.core.vocabulary import Failure, RunState
from supervisor.daemon.tell.tally import NO_FAILURE

PREFIX = "train_supervisor_"
_PARTS = ("launching", "training", "saving", "replaying", "waiting", "down", "unknown")

Sample = tuple[Mapping[str, str], float | None]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: `name` without the prefix, and its samples in a status.

    `lasts`: it stays in the file that the end of the run leaves.
    """

    name: str
    help: str
    of: Callable[[Status], Iterable[Sample]]
    type: str = "gauge"
    lasts: bool = False


def _one(value: Callable[[Status], float | None]) -> Callable[[Status], Iterable[Sample]]:
    return lambda status: [({}, value(status))]


def _info(status: Status) -> Iterable[Sample]:
    labels = {
        "version": supervisor.__version__,
        "host": status.host,
        "run_dir": status.run_dir,
        "adapter": status.adapter,
        "job": status.slurm.job if status.slurm else None,
    }
    yield {name: value or "" for name, value in labels.items()}, 1


def _states(status: Status) -> Iterable[Sample]:
    for state in RunState:
        yield {"state": state.value}, float(status.state == state.value)


def _restarts(status: Status) -> Iterable[Sample]:
    # All names from the start: `increase()` does not see a series that begins with 1.
    counts = dict.fromkeys((NO_FAILURE, *(failure.value for failure in Failure)), 0)
    for failure, count in (counts | dict(status.restarts_by_failure)).items():
        yield {"failure": failure}, count


def _sign(status: Status) -> float | None:
    return status.heartbeat_age_s if status.attached else status.log_age_s


def _step_seconds(status: Status) -> float | None:
    return 1 / status.step_rate if status.step_rate else None


def _account(status: Status) -> Iterable[Sample]:
    for part in _PARTS:
        yield {"part": part}, getattr(status.goodput, f"{part}_s", None)


def _budget(status: Status) -> Iterable[Sample]:
    if (budget := status.budget) is None:
        return
    yield {"budget": "row"}, _left(budget.max_failures, budget.failures)
    yield {"budget": "day"}, _left(budget.max_per_day, budget.today)


def _left(most: int | None, spent: int | None) -> float | None:
    return None if most is None or spent is None else max(most - spent, 0)


def _gpus(value: str) -> Callable[[Status], Iterable[Sample]]:
    return lambda status: [({"gpu": str(gpu.index)}, getattr(gpu, value)) for gpu in status.gpus]


METRICS = (
    Metric("info", "The run: always 1.", _info, lasts=True),
    Metric("state", "1 for the state that the run is in, else 0.", _states, lasts=True),
    Metric("attempts_total", "Attempts begun.", _one(lambda s: s.attempt), "counter", lasts=True),
    Metric(
        "restarts_total", "Restarts, by the failure before them; none: a stop.",
        _restarts, "counter", lasts=True,
    ),
    Metric("incidents_total", "Incidents recorded.", _one(lambda s: s.incidents), "counter",
           lasts=True),
    Metric("messages_failed_total", "Messages to people that reached no target.",
           _one(lambda s: s.notify.failed if s.notify else None), "counter", lasts=True),
    Metric("budget_left", "Failures left before the run is held: in a row, and within 24 hours.",
           _budget, lasts=True),
    Metric("goodput_ratio", "Training time that lasted, as a share of the time that is known.",
           _one(lambda s: s.goodput.goodput if s.goodput else None), lasts=True),
    Metric("time_seconds", "Where the time went.", _account, lasts=True),
    Metric("step", "The optimizer step.", _one(lambda s: s.step)),
    Metric("target_steps", "How many steps the training makes.", _one(lambda s: s.total)),
    Metric("step_seconds", "How long a step takes, over the last 30 s.", _one(_step_seconds)),
    Metric("loss", "The loss as the trainer told it last.", _one(lambda s: s.loss)),
    Metric("sign_of_life_age_seconds", "How long ago the trainer gave a sign of life.",
           _one(_sign)),
    Metric("checkpoint_age_seconds", "Since the newest valid checkpoint on the disk was written.",
           _one(lambda s: s.checkpoint.age_s if s.checkpoint else None)),
    Metric("checkpoint_step", "The step of the newest valid checkpoint on the disk.",
           _one(lambda s: s.checkpoint.step if s.checkpoint else None)),
    Metric("at_risk_seconds", "How much training a kill now would lose.",
           _one(lambda s: s.at_risk.seconds if s.at_risk else None)),
    Metric("at_risk_steps", "How many steps a kill now would lose.",
           _one(lambda s: s.at_risk.steps if s.at_risk else None)),
    Metric("save_seconds", "How long the last save took.", _one(lambda s: s.last_save_s)),
    Metric("save_interval_seconds", "How often the trainer saves.",
           _one(lambda s: s.save_interval.present_s if s.save_interval else None)),
    Metric("best_save_interval_seconds", "The time between saves that would lose the least.",
           _one(lambda s: s.save_interval.best_s if s.save_interval else None)),
    Metric("gpu_busy_ratio", "The share of the time in which the GPU worked.", _gpus("busy")),
    Metric("gpu_memory_used_bytes", "Memory of the GPU in use.", _gpus("used_bytes")),
    Metric("gpu_memory_bytes", "Memory of the GPU.", _gpus("total_bytes")),
)  # fmt: skip


def metrics_text(status: Status, *, is_last: bool = False) -> str:
    """All metrics that have a value; `is_last`: only those that stay after the end."""
    whose = {"run": status.run or "", "run_id": status.run_id or ""}
    lines: list[str] = []
    for metric in METRICS:
        if is_last and not metric.lasts:
            continue
        name = PREFIX + metric.name
        samples = [(labels, value) for labels, value in metric.of(status) if value is not None]
        if samples:
            lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.type}"]
            lines += [f"{name}{_labels({**whose, **labels})} {_number(value)}"
                      for labels, value in samples]  # fmt: skip
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    value = value.encode("utf-8", "replace").decode()  # a path may hold bytes that are no text
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) else repr(float(value))
