"""The records of checkpoints: set aside, missing, unseen, taken over, kept in memory."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.rundir.paths import RunPaths
from tests.e2e import test_pointers
from tests.e2e.test_checkpoint_damage import damage
from tests.e2e.test_memory_tier import NEVER, Remembering
from tests.golden.conftest import Cold, Overheard
from tests.golden.recording import hold_messages, hold_record, hold_status


def stopped_at_two_checkpoints(run: Cold, **more: object) -> None:
    """A run that was stopped with checkpoints 10 and 20 on the disk, and may go on."""
    run.configure(faults={"1": [25, "exit78"]}, **more)
    assert run.run() == 1
    assert run.command("resume").returncode == 0
    run.configure(**more)


def test_damaged(run: Cold) -> None:
    """A damaged checkpoint is set aside with the reason; the run resumes from the previous one."""
    stopped_at_two_checkpoints(run)
    damage(run.run_dir / "checkpoint-20" / "model.pt", "flip")
    assert run.run() == 0
    hold_record(run, "damaged")


def test_none_is_valid(run: Cold) -> None:
    """Without a valid checkpoint the run is held, and a human decides."""
    stopped_at_two_checkpoints(run)
    for step in (10, 20):
        damage(run.run_dir / f"checkpoint-{step}" / "model.pt", "flip")
    assert run.run() == 1
    hold_record(run, "none-valid")


def test_a_pointer_to_what_was_set_aside(run: Cold) -> None:
    """The pointer is corrected to name the previous checkpoint."""
    test_pointers.configure(run, "megatron")
    assert run.run() == 0
    hold_record(run, "pointer")


def test_missing_ones(run: Cold) -> None:
    """Missing checkpoints hold the run; only the option starts it from nothing."""
    out = run.folder / "out"
    stopped_at_two_checkpoints(run, checkpoints={"directory": "out"}, env={"OUTPUT": out})
    shutil.rmtree(out)
    assert run.run() == 1
    hold_status(run, "missing", "held")
    run.configure(checkpoints={"directory": "out"}, env={"OUTPUT": out, "STEPS": "10"})
    assert run.run("--from-nothing") == 0
    hold_record(run, "missing")


UNPROVEN = """
import os, sys, time
os.makedirs("out/checkpoint-10")
open("out/checkpoint-10/w.bin", "w").write("1")
while not os.path.exists("gone"):
    time.sleep(0.05)
sys.exit(3)
"""


def test_seen_and_never_proven(run: Cold) -> None:
    """A foreign save is gone before it was left alone long enough to be proven."""
    run.script(UNPROVEN, checkpoints={"directory": "out"}, resume={"args": ["{checkpoint}"]})
    run.start()
    run.wait(lambda: run.entries("checkpoint_seen"))
    (run.folder / "out").rename(run.folder / "away")
    (run.folder / "gone").touch()
    assert run.finish() == 1
    hold_record(run, "seen")


# All its saves appear at once, after its first step was seen and before its death.
ELSEWHERE = """
import os, time, zipfile
for step in range(1, 31):
    print("step", step, flush=True)
    while step == 5 and not os.path.exists("gate"):
        time.sleep(0.05)
    if step % 10 == 0:
        os.makedirs("new", exist_ok=True)
        with zipfile.ZipFile(f"new/model_{step}.pt", "w") as archive:
            archive.writestr("a/data.pkl", b"N.")
os.rename("new", "models")
raise ValueError("a bad batch")
"""


def test_saves_elsewhere(run: Cold) -> None:
    """A trainer that saves outside the watched directory is not started from nothing."""
    run.script(
        ELSEWHERE, watch={"progress": r"step (?P<step>\d+)"}, resume={"args": ["{checkpoint}"]}
    )
    run.start()
    run.wait_step(5)
    run.let_go()
    assert run.finish() == 1
    hold_record(run, "elsewhere")


COUNTING = """
import time
for epoch in range(2):
    for step in (1, 2, 3):
        print("step", step, flush=True)
        time.sleep(0.6)
"""


def test_steps_that_go_back(run: Cold) -> None:
    """Each epoch has its own counter of steps."""
    run.script(COUNTING, watch={"progress": r"step (?P<step>\d+)"})
    assert run.run() == 0
    hold_record(run, "steps-back")


def another(run: Cold, resume: dict[str, str]) -> None:
    """Make it a second run, which saves into the directory of the first."""
    run.run_dir = run.folder / "second"
    run.paths = RunPaths(run.run_dir)
    run.output = run.folder / "second.txt"
    env = {"OUTPUT": run.folder / "out"}
    run.configure(name="second", checkpoints={"directory": "out"}, env=env, resume=resume)


def test_a_finished_runs_directory(run: Cold) -> None:
    """A finished run's directory is refused until the configuration says `use`."""
    env = {"OUTPUT": run.folder / "out", "STEPS": "20"}
    run.configure(checkpoints={"directory": "out"}, env=env)
    assert run.run() == 0
    another(run, {})
    assert run.run() == 78
    another(run, {"existing": "use"})
    assert run.run() == 0
    hold_record(run, "taken-over")


def test_a_run_that_cannot_be_seen(run: Cold) -> None:
    """The owner's mark is damaged, and `--take-over` takes the directory."""
    (run.folder / "out").mkdir()
    (run.folder / ".out.supervised-by").write_text("{")
    run.configure(checkpoints={"directory": "out"}, env={"OUTPUT": run.folder / "out"})
    assert run.run() == 78
    assert run.run("--take-over") == 0
    hold_record(run, "taken-over-unseen")


class Kept(Overheard, Remembering):
    """A run whose trainer keeps snapshots in memory, and whose messages are kept."""


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """A run in a fresh directory."""
    supervised = Kept(tmp_path)
    yield supervised
    supervised.close()


def test_killed_and_gone_on_from_memory(kept: Kept) -> None:
    """No step is lost, and the snapshot reaches the disk during the relaunch."""
    run = kept
    run.set(hold=25, faults={"1": [17, "kill"]}, env={"SAVE_EVERY": NEVER, "STEP_S": "0.05"})
    run.start()
    run.wait_step(25, 2)
    run.wait((run.run_dir / "checkpoint-17" / "manifest.json").exists)
    run.wait(lambda: run.status["persister"]["state"] == "idle")
    run.wait_saved(17)
    run.wait(lambda: run.status["snapshot"]["step"] == 25)
    hold_status(run, "memory", "relaunched")
    run.let_go()
    assert run.finish() == 0
    hold_record(run, "memory")


def test_rescued_before_it_is_held(kept: Kept) -> None:
    """A person may take days, so memory is put onto the disk before the hold."""
    kept.set(faults={"1": [6, "exit78"]}, env={"SAVE_EVERY": NEVER})
    assert kept.run() == 1
    hold_messages(kept, "persister")
    hold_record(kept, "rescued")


def test_a_rescue_that_fails(kept: Kept) -> None:
    """The loss is reported, and memory is kept. The persister may be told of before the death."""
    (kept.folder / "file").write_text("no directory")
    disk = kept.folder / "file" / "x"
    kept.set(faults={"1": [6, "exit78"]}, env={"SAVE_EVERY": NEVER, "DISK": disk})
    assert kept.run() == 1
    hold_record(kept, "not-rescued", by_time=False)
