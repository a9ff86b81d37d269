"""The launcher of the version before with the tree of this one: training does not notice."""

import json
import os
import signal

import pytest

from tests.e2e.conftest import TRAINER
from tests.upgrade.conftest import Living
from tests.upgrade.installation import THIS

# A trainer that has begun, and does not beat before it may. What it needs is imported by then.
LATE = f"""
import os, runpy, time
from supervisor.checkpoint.commit import CheckpointWriter
from supervisor.worker import attach

attach()
print("attached", flush=True)
while not os.path.exists("begin"):
    time.sleep(0.02)
runpy.run_path({str(TRAINER)!r}, run_name="__main__")
"""
STEPS = list(range(1, 41))


def test_the_two_trees_differ(run: Living) -> None:
    """Each has modules that the other has not: what is imported late is of one of both."""
    then, now = (
        {str(path.relative_to(tree)) for path in tree.rglob("*.py")} for tree in (run.before, THIS)
    )
    assert then - now
    assert now - then


@pytest.mark.parametrize("way", ["kill", "reload"])
def test_another_daemon_takes_over(run: Living, way: str) -> None:
    """Killed, or reloaded: the trainer keeps its pid, and its steps are done once each."""
    run.configure(hold=15)
    run.start()
    trainer = run.wait_step(15)
    run.upgrade()
    run.kill_daemon() if way == "kill" else run.reload()
    assert run.wait_step(15) == trainer
    run.let_go()
    run.check_end()
    assert run.steps_done == STEPS


def test_another_daemon_launches_and_stops(run: Living) -> None:
    """Its orders are the old launcher's to obey: a launch, a stop, the exit, and a next run."""
    run.configure(hold=35)
    process = run.start()
    run.wait_step(35)
    run.upgrade()
    run.reload()
    run.kill_trainer(1)
    run.wait_step(35, 2)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert [end["saved"] for end in run.entries("attempt_ended")] == [None, True]
    run.let_go()
    run.start()
    run.check_end(3)
    assert run.steps_done == [*range(1, 36), *range(31, 36), *range(36, 41)]


def test_a_daemon_that_nobody_replaces(run: Living) -> None:
    """It goes on: of the new version are the trainers, and the children that read for it."""
    run.configure(hold=35)
    run.start()
    run.wait_step(35)
    run.wait(lambda: (run.status["checkpoint"] or {}).get("step") == 30)
    run.upgrade()
    run.kill_trainer(1)
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == 30
    run.wait_step(35, 2)
    run.let_go()
    run.check_end(2)
    assert run.steps_done == [*range(1, 36), *range(31, 41)]
    assert len(run.entries("daemon_started")) == 1


def test_while_nothing_is_installed(run: Living) -> None:
    """The first beat, and the daemon's death, between the old files' end and the new ones' begin.

    What nobody can start is tried again; what was to be imported late was not needed.
    """
    script = run.folder / "late.py"
    script.write_text(LATE)
    run.configure(hold=15, script=script)
    run.start()
    run.wait(lambda: run.paths.train_log.exists() and "attached" in run.log)
    run.site.remove()
    (run.folder / "begin").touch()
    run.wait(lambda: run.steps_done[-1:] == [15])
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: "NO DAEMON, 3 in a row" in run.text)
    run.site.install(THIS)
    run.wait_other_daemon(daemon)
    run.let_go()
    run.check_end(is_quiet=False)
    assert run.steps_done == STEPS


def test_an_upgrade_that_breaks_the_daemon(run: Living) -> None:
    """The old launcher has the new tree write that there is no daemon, and `status` reads it."""
    run.configure(hold=15)
    run.start()
    run.wait_step(15)
    run.upgrade()
    source = run.site.package / "core" / "rules" / "restart_policy.py"
    whole = source.read_text()
    source.write_text("raise RuntimeError('half an upgrade')\n" + whole)
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(run.paths.no_daemon.exists)
    said = json.loads(run.command("status", "--json").stdout)["no_daemon"]
    assert said["why"] == "exited with 1: RuntimeError: half an upgrade"
    source.write_text(whole)
    run.wait_other_daemon(daemon)
    run.wait(lambda: not run.paths.no_daemon.exists())
    run.let_go()
    run.check_end(is_quiet=False)
    assert run.steps_done == STEPS


@pytest.mark.slow
def test_back_to_the_version_before_and_on_again(run: Living) -> None:
    """An upgrade that is taken back: either daemon goes on with what the other has on record."""
    run.upgrade()
    run.configure(hold=15)
    run.start()
    run.wait_step(15)
    run.downgrade()
    run.reload()
    run.kill_trainer(1)
    run.wait_step(15, 2)
    run.upgrade()
    run.kill_daemon()
    run.let_go()
    run.check_end(2)
    assert run.steps_done == [*range(1, 16), *range(11, 41)]
    assert run.status["budget"]["today"] == 1
