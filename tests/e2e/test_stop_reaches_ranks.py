"""A stop under a shell that traps it is saved, even if daemon or launcher die or are replaced."""

import os
import signal
import sys
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Supervised

# On a stop it saves only once the file GATE exists.
TRAINER = """\
import os, time
from pathlib import Path
from supervisor.worker import attach
run = attach()
first = int((run.resume_from / "state.bin").read_text()) if run.resume_from else 0
for step in range(first + 1, 100_000):
    time.sleep(0.02)
    run.beat(step=step)
    stop = run.should_stop
    if step % 10 == 0 or stop:
        if stop:
            Path("saving").touch()
            while not os.path.exists(os.environ["GATE"]):
                time.sleep(0.01)
        folder = Path(f"ckpt/checkpoint-{step}")
        (folder.parent / ".new").mkdir(parents=True)
        (folder.parent / ".new" / "state.bin").write_text(str(step))
        (folder.parent / ".new").rename(folder)
    if stop:
        run.exit_preempted(step=step)
"""


def nothing(run: Supervised) -> None:
    """Do nothing more."""


def reload(run: Supervised) -> None:
    """Replace the daemon while the rank saves."""
    before = run.status["pids"]["daemon"]
    assert run.command("reload").returncode == 0
    run.wait(lambda: run.status["pids"]["daemon"] not in (before, None))


def kill_daemon(run: Supervised) -> None:
    """Kill the daemon while the rank saves."""
    before = run.status["pids"]["daemon"]
    os.kill(before, signal.SIGKILL)
    run.wait(lambda: run.status["pids"]["daemon"] not in (before, None))


def kill_launcher(run: Supervised) -> None:
    """Kill the launcher while the rank saves: the daemon goes on with the stop."""
    assert run.process is not None
    run.process.kill()
    run.process.wait()


@pytest.mark.parametrize(
    ("number", "meanwhile"),
    [
        (signal.SIGTERM, nothing),
        (signal.SIGUSR1, reload),
        (signal.SIGTERM, kill_daemon),
        (signal.SIGKILL, nothing),
        (signal.SIGTERM, kill_launcher),
    ],
    ids=[
        "SIGTERM",
        "SIGUSR1 and a reload",
        "a dead daemon",
        "a dead launcher",
        "a launcher that dies later",
    ],
)
def test_the_rank_saves_and_what_follows_it_does_not_begin(
    run: Supervised, number: int, meanwhile: Callable[[Supervised], None]
) -> None:
    """The trap runs once the save is made; the script's next command never runs."""
    (run.folder / "trainer.py").write_text(TRAINER)
    (run.folder / "start.sh").write_text(
        f"trap 'touch trapped; exit 143' TERM\n{sys.executable} trainer.py\ntouch next; sleep 600\n"
    )
    run.configure(
        command=["bash", "start.sh"],
        checkpoints={"directory": str(run.folder / "ckpt")},
        env={"GATE": run.gate},
        grace="60s",
    )
    process = run.start()
    run.wait(lambda: (run.status.get("step") or 0) >= 5)
    process.send_signal(number)
    run.wait((run.folder / "saving").exists)
    meanwhile(run)
    assert not (run.folder / "trapped").exists()
    run.let_go()
    is_killed = number == signal.SIGKILL or meanwhile is kill_launcher
    assert run.finish() == (-signal.SIGKILL if is_killed else 75)
    (end,) = run.wait(lambda: run.entries("attempt_ended"))
    assert (end["saved"], end["outcome"]) == (True, 75)
    assert run.strays() == []
    assert (run.folder / "trapped").exists()
    assert not (run.folder / "next").exists()
