"""When restarts end: budgets, configuration errors, the trainer's own exit code."""

import json
import os
import signal
import sys

import pytest

from tests.e2e.conftest import Supervised


def test_crash_loop_holds_and_a_new_daemon_does_not_forget(run: Supervised) -> None:
    """The spent budget exits 1, although the daemon is killed in the middle."""
    third = f"[ $SUPERVISOR_ATTEMPT -lt 3 ] || until [ -e {run.gate} ]; do sleep 0.1; done"
    run.configure(
        command=["bash", "-c", f"{third}; exit 3"],
        restart={"backoff": "0.1s", "backoff_max": "0.2s", "max_failures": 4},
    )
    run.start()
    run.wait(lambda: len(run.entries("attempt_ended")) >= 2)
    os.kill(run.status["pids"]["daemon"], signal.SIGKILL)
    run.let_go()
    assert run.finish() == 1
    assert len(run.entries("attempt_started")) == 4
    assert "4 failures" in run.status["reason"]
    assert run.run() == 1
    assert len(run.entries("attempt_started")) == 4
    run.command("resume")
    assert run.run() == 1
    assert len(run.entries("attempt_started")) == 8


@pytest.mark.parametrize(
    "source",
    ["import no_such_module_anywhere", "def broken(:", "import argparse as a\n"
     "p = a.ArgumentParser(); p.add_argument('--lr', required=True); p.parse_args()"],
    ids=["import", "syntax", "argument"],
)  # fmt: skip
def test_an_error_before_the_first_step_holds_at_once(run: Supervised, source: str) -> None:
    """A restart cannot repair the error, so the run is held at once."""
    script = run.folder / "wrong.py"
    script.write_text(source)
    run.configure(command=[sys.executable, str(script)])
    assert run.run() == 1
    assert run.status["failure"] == "configuration"
    assert len(run.entries("attempt_started")) == 1


@pytest.mark.parametrize("code", [78])
def test_the_trainers_own_word_holds(run: Supervised, code: int) -> None:
    """Exit code 78 from the trainer brings no relaunch."""
    run.configure(env={"FAULTS": f'{{"1": [5, "exit{code}"]}}'})
    assert run.run() == 1
    assert run.entries("attempt_ended")[0]["failure"] == "configuration"


def test_a_command_that_is_not_there_holds(run: Supervised) -> None:
    """The error names the command."""
    run.configure(command=["no-such-program-anywhere", "--x"])
    assert run.run() == 1
    assert "no-such-program-anywhere" in run.text
    assert run.status["failure"] == "configuration"


def test_finish_file(run: Supervised) -> None:
    """With a finish condition exit 0 alone does not finish the run."""
    marker = run.folder / "done"
    script = f"[ $SUPERVISOR_ATTEMPT = 3 ] && touch {marker}; exit 0"
    run.configure(command=["bash", "-c", script], finish={"file": str(marker)})
    assert run.run() == 0
    assert len(run.entries("attempt_started")) == 3


def test_what_the_trainer_says_of_its_configuration_is_shown(run: Supervised) -> None:
    """`exit_configuration(message)`: the message is the reason that a person reads."""
    script = run.folder / "wrong.py"
    script.write_text(
        "from supervisor.worker import attach\n"
        "attach().exit_configuration('vocabulary does not match')\n"
    )
    run.configure(command=[sys.executable, str(script)])
    assert run.run() == 1
    assert "vocabulary does not match" in run.status["reason"]


def test_a_resume_counts_although_the_clock_was_set_back(run: Supervised) -> None:
    """`resume` follows the hold by its id, and precedes it by its wall time: it is obeyed."""
    run.configure(env={"FAULTS": '{"1": [15, "exit78"]}'})
    assert run.run() == 1
    assert run.command("resume").returncode == 0
    said = json.loads(run.paths.intent.read_text())
    run.paths.intent.write_text(json.dumps({**said, "at": "2001-01-01T00:00:00.000Z"}))
    run.configure()
    assert run.run() == 0
