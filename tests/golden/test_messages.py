"""What launcher and daemon say to each other: every message, every field, as real ones said it.

Each message stands once in the file of its scenario, sorted: which come between two others is for
the core's tests to say.
"""

import json
import os
import signal
import sys

from tests.e2e.conftest import HANG, TRAINER
from tests.golden.conftest import Overheard
from tests.golden.keeping import hold_against
from tests.golden.normal import Normal

# Said as long as a daemon lives; the first time right after its start.
ALIVE = '< {"do":"alive"}'


def hold_messages(run: Overheard, name: str) -> None:
    """Compare all that was said."""
    normal = Normal(run.folder)
    said = {
        line[:2] + normal.line(json.loads(line[2:])) for line in run.heard.read_text().splitlines()
    }
    lines = said - {ALIVE}
    hold_against(f"messages/{name}.txt", "".join(f"{line}\n" for line in sorted(lines)))


def test_a_death_of_each_and_a_stop(overheard: Overheard) -> None:
    """The trainer is killed, then the daemon; the next one learns it all, and is told to stop."""
    run = overheard
    run.configure(hold=15)
    process = run.start()
    os.kill(run.wait_step(15), signal.SIGKILL)
    run.wait_step(15, 2)
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: run.status["pids"]["daemon"] != daemon)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert ALIVE in run.heard.read_text().splitlines()
    hold_messages(run, "deaths")


def test_one_is_parked(overheard: Overheard) -> None:
    """The spare interpreter, and a launch from it."""
    run = overheard
    run.configure(hold=15, launch={"mode": "auto"})
    run.start()
    trainer = run.wait_step(15)
    run.wait(lambda: run.entries("parked"))
    os.kill(trainer, signal.SIGKILL)
    run.wait_step(15, 2)
    run.wait(lambda: len(run.entries("parked")) == 2)
    run.let_go()
    assert run.finish() == 0
    assert run.entries("attempt_started")[1]["launch"] == "warm"
    hold_messages(run, "parked")


def test_what_a_script_leaves_training(overheard: Overheard) -> None:
    """Its main process exits with 0: the daemon says for how long the rest may live."""
    run = overheard
    run.configure(hold=15, command=["bash", "-c", f"{sys.executable} {TRAINER} & exit 0"])
    run.start()
    run.wait(lambda: run.entries("left_training"))
    run.let_go()
    assert run.finish() == 0
    hold_messages(run, "left")


DEAF = """
import signal, time
from supervisor.worker import attach
run = attach()
for step in range(10000):
    time.sleep(0.05)
    run.beat(step=step)
    if step == 5:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(600)
"""


def test_a_hang(overheard: Overheard) -> None:
    """Looked at, asked for its stacks, and ended."""
    run = overheard
    (run.folder / "deaf.py").write_text(DEAF)
    run.configure(command=[sys.executable, "deaf.py"], watch=HANG, restart={"max_failures": 1})
    assert run.run() == 1
    hold_messages(run, "hang")


def test_a_third_interrupt(overheard: Overheard) -> None:
    """Each is handed over; the third kills."""
    run = overheard
    run.configure(hold=15, env={"DEAF": 1})
    process = run.start()
    run.wait_step(15)
    for count in (1, 2, 3):
        process.send_signal(signal.SIGINT)
        if count < 3:
            run.wait(lambda wanted=count: run.status.get("interrupts") == wanted)
    assert run.finish() == 75
    hold_messages(run, "interrupts")


def test_no_such_program(overheard: Overheard) -> None:
    """The launch that is refused."""
    overheard.configure(command=["no-such-program-anywhere"])
    assert overheard.run() == 1
    hold_messages(overheard, "refused")


def test_a_lock_is_removed(overheard: Overheard) -> None:
    """Launcher and daemon make it anew."""
    run = overheard
    run.configure(hold=15)
    run.start()
    run.wait_step(15)
    run.paths.lock.unlink()
    run.wait(lambda: run.entries("record_remade"))
    run.wait(lambda: len(run.entries("daemon_started")) == 2 and run.status.get("step"))
    run.let_go()
    assert run.finish() == 0
    hold_messages(run, "relock")
