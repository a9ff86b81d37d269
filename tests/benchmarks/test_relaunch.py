"""The relaunch benchmark: stamps belong to the right death, and ours is really relaunched."""

from pathlib import Path

import pytest

from benchmarks.relaunch import WORKLOADS, rows_of
from benchmarks.relaunches import SHOWN_STEP, Ours, ShellLoop, Workload, measure, medians, times_of
from benchmarks.soaked_run import Stamp, read_stamps

MS = 1_000_000


def attempt(pid: int, began_ms: int, resumed: int, steps: int) -> list[Stamp]:
    """The stamps of one attempt."""
    names = ("started", "chosen", "loaded")
    head = [
        Stamp(name, pid, resumed if name == "loaded" else -1, (began_ms + at) * MS)
        for at, name in enumerate(names)
    ]
    return head + [
        Stamp("step", pid, resumed + at, (began_ms + 10 * at) * MS) for at in range(1, steps + 1)
    ]


def test_each_time_is_from_the_death_to_the_next_attempt() -> None:
    """Lines before the death and later attempts do not count; replayed steps are counted."""
    stamps = attempt(1, 0, 0, 20) + attempt(2, 300, 18, 5) + attempt(3, 900, 20, 5)
    times = times_of(stamps[: 23 + 8], 1, 205 * MS, [100 * MS, 208 * MS, 400 * MS])
    assert times == {
        "noticed": 3.0, "started": 95.0, "chosen": 96.0, "loaded": 97.0, SHOWN_STEP: 105.0,
        "replayed": 2.0,
    }  # fmt: skip


def test_medians_leave_out_what_was_not_told() -> None:
    """A column that a death lacks is left out, and is not zero."""
    assert medians([{"a": 1.0}, {"a": 3.0, "b": 5.0}, {"a": 2.0}]) == {"a": 2.0, "b": 5.0}


def test_the_target_is_a_part_of_torchrun() -> None:
    """The target is a twentieth of torchrun's time; without torchrun there is no target."""
    ours, other = {SHOWN_STEP: 100.0}, {SHOWN_STEP: 2400.0}
    row = next(r for r in rows_of("toy", {"supervisor": ours, "torchrun": other}) if r.target)
    assert row.target == pytest.approx(120.0)
    assert row.holds
    assert not any(r.target for r in rows_of("toy", {"supervisor": ours, "torchrun": "failed"}))


def test_the_target_of_an_unchanged_script_is_a_part_of_the_quickest_peer() -> None:
    """An eighth of the quicker of both; columns that nobody has are left out."""
    values = {
        "supervisor": {SHOWN_STEP: 800.0},
        "torchrun": {SHOWN_STEP: 8000.0},
        "ft_launcher": {SHOWN_STEP: 6000.0},
    }
    (row,) = rows_of("trainer", dict(values))
    assert row.target == pytest.approx(750.0)
    assert not row.holds


def test_an_unchanged_script_is_the_same_line_for_all(tmp_path: Path) -> None:
    """Ours runs the words that a peer runs, without a configuration and without a variable."""
    workload = WORKLOADS["trainer"]
    words = workload.script_alone(tmp_path)
    argv = Ours("supervisor", "warm").argv(workload, tmp_path)
    assert argv[argv.index("--") + 1 :] == [workload.python, *words]
    assert not list(tmp_path.iterdir())
    assert "PYTHONPATH" not in workload.environment()
    assert "supervis" not in Path(workload.program).read_text()


def test_stamps_of_nobody(tmp_path: Path) -> None:
    """Before a training has begun there are no stamps."""
    assert read_stamps(tmp_path / "stamps") == []


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("subject", [Ours("supervisor", "cold"), ShellLoop()], ids=lambda s: s.name)
def test_a_killed_training_is_timed(subject: Ours | ShellLoop, tmp_path: Path) -> None:
    """The relaunch after one SIGKILL of a real training has every column, in order."""
    words = ("--save-steps", "10", "--step-s", "0.01")
    (times,) = measure(subject, Workload("toy", words), tmp_path, 1)
    order = [times[name] for name in ("started", "chosen", "loaded", SHOWN_STEP)]
    assert order == sorted(order)
    assert times["noticed"] > 0
    assert ("choosing" in times) is isinstance(subject, Ours)
    assert 0 < times.get("choosing", 1.0) < times["started"]
    assert times["replayed"] < 13
