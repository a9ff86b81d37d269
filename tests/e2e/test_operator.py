"""Stops, holds and resumes, by signals and by intents from any shell, also while nothing runs."""

import signal
import subprocess
import sys
import time

import pytest

from tests.e2e.conftest import Supervised, uninterrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_saves_and_the_next_run_goes_on(run: Supervised, number: int) -> None:
    """A signal ends the run with exit 75 and everything saved; repeats change nothing."""
    run.configure(hold=25)
    process = run.start()
    run.wait_step(5)
    process.send_signal(number)
    if number != signal.SIGINT:
        process.send_signal(number)
    assert run.finish() == 75
    (end,) = run.entries("attempt_ended")
    assert end["saved"] is True
    assert end["charged"] is False
    step = end["step"]
    assert run.run() == 0
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == step
    assert run.weight() == uninterrupted()


def test_signals_not_configured_are_not_stops(run: Supervised) -> None:
    """With `signals: [TERM]` the run ignores SIGUSR1."""
    run.configure(signals=["TERM"], hold=25)
    process = run.start()
    run.wait_step(3)
    process.send_signal(signal.SIGUSR1)
    process.send_signal(signal.SIGHUP)
    run.let_go()
    assert run.finish() == 0


def test_third_interrupt_kills(run: Supervised) -> None:
    """The second Ctrl-C says what a third one costs; the third kills."""
    script = run.folder / "deaf.py"
    script.write_text(
        "import signal, time\n"
        "from supervisor.worker import attach\n"
        "run = attach()\n"
        "for step in range(10000):\n"
        "    time.sleep(0.05); run.beat(step=step)\n"
    )
    run.configure(command=[sys.executable, str(script)], grace="60s")
    process = run.start()
    run.wait_step(3)
    for count in (1, 2, 3):
        process.send_signal(signal.SIGINT)
        if count < 3:
            run.wait(lambda wanted=count: run.status.get("interrupts") == wanted)
    assert run.finish() == 75
    assert "a third Ctrl-C kills" in run.text
    assert run.strays() == []


def test_stop_and_resume_by_intent(run: Supervised) -> None:
    """`stop` saves and ends; `run` then starts nothing; `resume` lets the next `run` go on."""
    run.configure(hold=25)
    run.start()
    run.wait_step(5)
    stopped = run.command("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert run.finish() == 75
    assert run.status["state"] == "stopped"
    assert run.run() == 75
    assert "supervisor resume" in run.text
    assert len(run.entries("attempt_started")) == 1
    assert run.command("resume").returncode == 0
    assert run.run() == 0
    assert run.weight() == uninterrupted()


def test_hold_lets_the_attempt_run_and_prevents_the_next(run: Supervised) -> None:
    """`hold` during an attempt: the attempt trains on, and its death brings no relaunch."""
    run.configure(hold=25, env={"FAULTS": '{"1": [30, "kill"]}'})
    run.start()
    pid = run.wait_step(5)
    assert run.command("hold").returncode == 0
    run.wait(lambda: run.status.get("intent") == "hold")
    assert run.status["pids"]["trainer"] == pid
    run.let_go()
    assert run.finish() == 1
    assert run.status["state"] == "held"
    assert run.run() == 1
    assert len(run.entries("attempt_started")) == 1
    run.command("resume")
    assert run.run() == 0
    assert run.weight() == uninterrupted()


def test_stop_while_nothing_runs_prevents_the_start(run: Supervised) -> None:
    """An intent holds until it is taken back, whether or not a supervisor runs."""
    run.configure(env={"FAULTS": '{"1": [15, "exit78"]}'})
    assert run.run() == 1
    assert run.command("stop").returncode == 0
    assert run.run() == 75
    run.command("resume")
    run.configure()
    assert run.run() == 0


def test_stop_in_backoff_ends_at_once(run: Supervised) -> None:
    """A stop ends a backoff at once."""
    run.configure(restart={"backoff": "300s"}, env={"FAULTS": '{"*": [3, "kill"]}'})
    process = run.start()
    run.wait(lambda: run.status.get("state") == "backoff")
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert time.monotonic() - begun < 100


def test_a_finished_run_is_left_alone_unless_reopened(run: Supervised) -> None:
    """A second `run` exits 0 and changes nothing; `--again` goes on."""
    assert run.run() == 0
    before = {p: p.stat().st_mtime_ns for p in run.run_dir.rglob("*") if p.is_file()}
    assert run.run() == 0
    assert {p: p.stat().st_mtime_ns for p in run.run_dir.rglob("*") if p.is_file()} == before
    run.configure(env={"STEPS": "60"})
    assert run.run("--again") == 0
    run.steps = 60
    assert run.weight() == uninterrupted(60)
    assert run.entries("attempt_started")[-1]["checkpoint"]["step"] == 40


def test_second_supervisor_is_refused(run: Supervised) -> None:
    """The second supervisor exits 69 and names the first, which goes on undisturbed."""
    run.configure(hold=25)
    first = run.start()
    run.wait_step(3)
    second = run.raw("run", str(run.config))
    assert second.returncode == 69
    assert str(first.pid) in second.stderr
    run.let_go()
    assert run.finish() == 0
    assert len(run.entries("attempt_started")) == 1


def test_reload_replaces_the_daemon_alone(run: Supervised) -> None:
    """A reload starts a new daemon; the trainer goes on, and no time counts as down."""
    run.configure(hold=25)
    run.start()
    trainer = run.wait_step(5)
    before = run.status["pids"]["daemon"]
    assert run.command("reload").returncode == 0
    after = run.wait(lambda: run.status["pids"]["daemon"] != before and run.status["pids"])
    assert after["trainer"] == trainer
    run.let_go()
    assert run.finish() == 0
    assert len(run.entries("attempt_started")) == 1
    assert run.status["goodput"]["down_s"] < 0.2
    assert run.weight() == uninterrupted()


def test_a_stop_before_the_launcher_is_there_is_kept(run: Supervised) -> None:
    """SIGUSR1 while the configuration is read: exit 75, and no trainer is started."""
    hooked = (
        "import os, signal, sys\n"
        "import supervisor.cli.commands.run as r\n"
        "load = r.load_config\n"
        "def slow(path):\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "    return load(path)\n"
        "r.load_config = slow\n"
        "from supervisor.cli import main\n"
        "sys.argv = ['supervisor', 'run', sys.argv[1]]\n"
        "main()\n"
    )
    script = run.folder / "hooked.py"
    script.write_text(hooked)
    done = subprocess.run(
        [sys.executable, str(script), str(run.config)], cwd=run.folder, timeout=50, check=False
    )
    assert done.returncode == 75
    assert run.entries("attempt_started") == []
    assert run.run() == 0
