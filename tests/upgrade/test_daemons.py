"""The previous version's launcher with this version's files: training goes on undisturbed."""

import json
import os
import signal

import pytest

from tests.e2e.conftest import TRAINER
from tests.upgrade.conftest import Living
from tests.upgrade.installation import THIS

# A trainer that has attached, but beats only when it may. It has imported what it needs by then.
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
    """Each tree has modules that the other lacks, so a late import belongs to one version."""
    then, now = (
        {str(path.relative_to(tree)) for path in tree.rglob("*.py")} for tree in (run.before, THIS)
    )
    assert then - now
    assert now - then


@pytest.mark.parametrize("way", ["kill", "reload"])
def test_another_daemon_takes_over(run: Living, way: str) -> None:
    """A daemon is killed or reloaded: the trainer keeps its pid, and each step is done once."""
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
    """The old launcher obeys the new daemon's orders to launch, stop and exit."""
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
    """The old daemon goes on; trainers and its reading children are of the new version."""
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
    """The first beat and the daemon's death come while no version is installed.

    A daemon that cannot start is retried; no late import was needed.
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
    """The old launcher writes `no-daemon` with the new files, and `status` reads it."""
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
    """After an upgrade and back each daemon continues from the other version's ledger."""
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
