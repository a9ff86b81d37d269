"""A trainer that says where it saves: no configuration names a directory, and runs go on there."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.rundir.paths import RunPaths
from tests.e2e.conftest import Supervised, uninterrupted

SCRIPT = Path(__file__).with_name("described.py")


def configure(
    run: Supervised,
    plan: list[list[Any]],
    faults: dict[str, Any],
    STEP_S: float = 0.05,
    **more: Any,
) -> None:
    """Configure a run of that trainer, without a checkpoint directory and `resume.args`."""
    env = {"PLAN": json.dumps(plan), "FAULTS": json.dumps(faults), "STEP_S": STEP_S}
    run.configure(command=[sys.executable, str(SCRIPT)], env=env, **more)


def sources(run: Supervised) -> list[str | None]:
    """The checkpoint that each attempt began from: its path below the folder of the test."""
    found = [entry["checkpoint"] for entry in run.entries("attempt_started")]
    return [None if one is None else one["path"].removeprefix(f"{run.folder}/") for one in found]


def last_weight(run: Supervised) -> float:
    """The weight that the last attempt printed."""
    return float(run.log.rpartition("weight ")[2])


def test_killed_twice_and_resumed_from_there(run: Supervised) -> None:
    """Two kills: each attempt goes on from the newest save in the directory that was named."""
    configure(run, [["out", 60, 60]], {"1": [1, 25, "kill"], "2": [1, 45, "kill"]})
    assert run.run() == 0
    assert sources(run) == [None, "out/checkpoint-20.pt", "out/checkpoint-40.pt"]
    assert last_weight(run) == uninterrupted(60)
    (first, *_) = run.entries("described")
    assert (first["framework"], first["directory"]) == ("teststages 1.0", str(run.folder / "out"))
    assert run.status["adapter"] == "teststages 1.0"
    assert run.status["total"] == 60
    out = str(run.folder / "out")
    assert run.status["described"] == {
        "directory": out, "best": f"{out}/checkpoint-50.pt",
        "training": {"directory": out, "ordinal": 1},
    }  # fmt: skip
    listed = run.command("checkpoints").stdout
    assert "checkpoint-60.pt" in listed
    marked = [line.split()[0] for line in listed.splitlines() if line.endswith(" best")]
    assert marked == ["checkpoint-50.pt"]  # the last attempt's best, by its own word
    assert (run.folder / ".out.supervised-by").exists()
    assert "saves into" in " ".join(run.command("events").stdout.split())


def test_a_new_supervisor_looks_there_as_well(run: Supervised) -> None:
    """After a stop, the next `supervisor run` goes on from the directory that was named."""
    configure(run, [["out", 10**6, 10**6]], {})
    run.start()
    run.wait(lambda: (run.status.get("checkpoint") or {}).get("step"))
    run.command("stop")
    assert run.finish() == 75
    run.command("resume")
    run.start()
    run.wait(lambda: len(run.entries("attempt_started")) == 2)
    source = sources(run)[1]
    assert source is not None
    assert source.startswith("out/checkpoint-")
    run.command("stop")
    assert run.finish() == 75


def test_killed_in_each_of_two_stages(run: Supervised) -> None:
    """Stage 1's checkpoint goes to stage 1, stage 2's to stage 2; its lower steps are progress."""
    configure(
        run, [["one", 40, 40], ["two", 30, 30]],
        {"1": [1, 25, "kill"], "2": [2, 25, "kill"], "3": [2, 25, "kill"]},
        restart={"backoff": "0.1s", "max_failures": 2},
    )  # fmt: skip
    assert run.run() == 0
    assert sources(run) == [None, "one/checkpoint-20.pt", "two/checkpoint-20.pt",
                            "two/checkpoint-20.pt"]  # fmt: skip
    assert not [one for one in run.entries("decision") if one["state"] == "held"]
    assert not run.entries("not_resumed")
    assert (run.folder / "one" / "checkpoint-40.pt").exists()


@pytest.mark.parametrize("step_s", [0.05, 0.0])
def test_a_stage_that_saved_nothing_yet(run: Supervised, step_s: float) -> None:
    """Killed at the first steps of stage 2: its directory is empty, and stage 1's is looked at.

    Also if stage 1 was over before any look: the record of saves tells where they are.
    """
    configure(run, [["one", 20, 20], ["two", 20, 20]], {"1": [2, 5, "kill"]}, STEP_S=step_s)
    assert run.run() == 0
    assert sources(run) == [None, "one/checkpoint-20.pt"]
    assert "missing" not in run.text


def test_a_new_directory_at_each_start(run: Supervised) -> None:
    """Lightning's `version_K`: a kill before the new directory's first save loses nothing."""
    configure(
        run, [["logs/version_{attempt}", 40, 40]],
        {"1": [1, 25, "kill"], "2": [1, 25, "kill"], "3": [1, 35, "kill"]},
    )  # fmt: skip
    assert run.run() == 0
    assert sources(run) == [
        None, "logs/version_1/checkpoint-20.pt", "logs/version_1/checkpoint-20.pt",
        "logs/version_3/checkpoint-30.pt",
    ]  # fmt: skip
    assert last_weight(run) == uninterrupted(40)


@pytest.mark.parametrize(("kind", "attempts"), [("exit0", 2), ("stop", 1)])
def test_an_exit_with_0_in_the_middle(run: Supervised, kind: str, attempts: int) -> None:
    """It is not finished, unless the training had ended by itself before its last step."""
    configure(run, [["out", 40, 40]], {"1": [1, 25, kind]})
    assert run.run() == 0
    assert len(run.entries("attempt_started")) == attempts
    (end, *_) = run.entries("attempt_ended")
    if kind == "exit0":
        assert end["doubt"] == {
            "kind": "described",
            "words": "its training was at step 25 of 40, and had not ended",
            "step": 25,
        }
    else:
        assert end["doubt"] is None
        assert run.status["reason"].endswith(
            "finished at step 25 of 40: the training ended by itself there"
        )


def test_what_was_there_before(run: Supervised) -> None:
    """Checkpoints from before the run are neither resumed from, nor asked about, nor removed."""
    out = run.folder / "out"
    out.mkdir()
    for step in (5, 500):
        (out / f"checkpoint-{step}.pt").write_bytes(b"another training's")
    configure(
        run, [["out", 60, 60]], {"1": [1, 5, "kill"], "2": [1, 35, "kill"]},
        checkpoints={"keep": 2},
    )  # fmt: skip
    assert run.run() == 0
    assert sources(run) == [None, None, "out/checkpoint-30.pt"]
    left = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    assert left == [
        "checkpoint-40.pt", "checkpoint-5.pt", "checkpoint-50.pt", "checkpoint-500.pt",
        "checkpoint-60.pt",
    ]  # fmt: skip


def test_a_configured_directory_stays(run: Supervised) -> None:
    """The trainer saves elsewhere: told once with both paths, and nothing else changes."""
    configure(run, [["out", 60, 60]], {"1": [1, 25, "kill"]}, checkpoints={"directory": "ckpt"})
    assert run.run() == 1
    both = f"{run.folder / 'out'}, but `checkpoints.directory` is {run.folder / 'ckpt'}"
    assert run.text.count(both) == 1
    assert run.status["failure"] == "checkpoints_unseen"
    assert not (run.folder / ".out.supervised-by").exists()


def test_a_daemon_that_starts_later_knows_it(run: Supervised) -> None:
    """Told once by two daemons; the second looks where the first one's trainer saves."""
    configure(run, [["out", 10**6, 10**6]], {}, launch={"mode": "cold"})
    run.start()
    trainer = run.wait_step(12)
    run.wait(lambda: run.entries("trainer_told"))
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: len(run.entries("daemon_started")) == 2)
    run.wait(lambda: run.status["pids"]["daemon"] != daemon and run.status["adapter"])
    run.wait_step(25)
    os.kill(trainer, signal.SIGKILL)
    run.wait(lambda: len(run.entries("attempt_started")) == 2)
    source = sources(run)[1]
    assert source is not None
    assert source.startswith("out/checkpoint-")
    told = [(one["attempt"], one["sentence"]) for one in run.entries("trainer_told")]
    assert told[0] == (1, "it repeats no batches")
    assert len(told) == len(set(told))
    described = [one for one in run.entries("described") if one["attempt"] == 1]
    assert len(described) == 2, "its start, and its best checkpoint"
    run.command("stop")
    assert run.finish() == 75


STEPS = """
import time
for step in range(1, 10**6): print(f"step {step}", flush=True); time.sleep(0.1)
"""


@pytest.mark.parametrize(
    ("before", "options", "more", "why"),
    [
        (["env", "PYTHONPATH=/nowhere"], [], {}, "none (PYTHONPATH was replaced)"),
        ([], ["-I"], {}, "none (python -I ignores PYTHONPATH)"),
        ([], [], {"integrate": "none"}, "none (integrate: none)"),
    ],
)
def test_why_there_is_no_adapter(
    run: Supervised, before: list[str], options: list[str], more: dict[str, Any], why: str
) -> None:
    """`status` says it once the log shows a step."""
    script = run.folder / "t.py"
    script.write_text(STEPS)
    command = [*before, sys.executable, *options, str(script)]
    run.configure(command=command, launch={"mode": "cold"}, **more)
    run.start()
    run.wait(lambda: run.status.get("adapter") is not None)
    assert run.status["adapter"] == why
    assert why in " ".join(run.command("status").stdout.split())
    run.command("stop")
    run.finish()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[list[Supervised]]:
    """Two runs side by side, as below `runs/`, whose trainers save into one directory."""
    runs = []
    for name in ("first", "second"):
        folder = tmp_path / "of" / name
        folder.mkdir(parents=True)
        run = Supervised(folder)
        run.run_dir = tmp_path / "runs" / name
        run.paths = RunPaths(run.run_dir)
        runs.append(run)
    yield runs
    for run in runs:
        run.close()


def test_a_finished_runs_directory_is_not_taken_over(
    pair: list[Supervised], tmp_path: Path
) -> None:
    """The second run is told, its mark is not set, and each counts only what it wrote itself."""
    first, second = pair
    out = tmp_path / "out"
    for run in pair:
        configure(
            run, [[str(out), 40, 40]], {"1": [1, 25, "kill"]},
            name=run.run_dir.name, run_dir=str(run.run_dir), checkpoints={"keep": 1},
        )  # fmt: skip
    assert first.run() == 0, first.text
    (out / "checkpoint-500.pt").write_bytes(b"the first run's")
    mark = (tmp_path / ".out.supervised-by").read_bytes()
    assert second.run() == 0, second.text
    assert "takes" not in second.text
    assert (tmp_path / ".out.supervised-by").read_bytes() == mark
    for word in ("'first'", "'second'", "is finished", "--output_dir", "existing: use"):
        assert word in second.text, second.text
    assert any("'first'" in one for one in second.status["warnings"])
    assert [e for e in second.entries("checkpoint_removed") if e["why"] == "pruned"] == []
    taken = [one["checkpoint"] for one in second.entries("attempt_started")]
    assert taken[0] is None
    assert taken[1]["path"] == str(out / "checkpoint-20.pt")
    mine, theirs = listed(second), listed(first)
    assert mine["checkpoint-40.pt"] is False
    assert mine["checkpoint-500.pt"] is True
    assert theirs["checkpoint-40.pt"] is True, "the second run wrote it anew"
    assert first.run("--again") == 1, first.text
    assert "has written over" in first.text
    assert len(first.entries("attempt_started")) == 2


def listed(run: Supervised) -> dict[str, bool]:
    """Each checkpoint by name, and whether it is said to be another's."""
    lines = run.command("checkpoints").stdout.splitlines()
    rows = (line for line in lines if line.startswith("checkpoint-"))
    return {line.split()[0]: "not of this run" in line for line in rows if ":" not in line}
