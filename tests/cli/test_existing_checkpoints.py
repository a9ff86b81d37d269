"""Checkpoints from before a run's first start: the question, the options, and what is recorded."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.cli.record import read_history
from supervisor.cli.start.existing import decide, undecided, with_existing
from supervisor.cli.start.typed_line import TypedLine
from supervisor.config.model import ResumeConfig, RunConfig
from supervisor.core.history import History
from supervisor.errors import SupervisorError
from supervisor.rundir.ledger import read_ledger
from supervisor.rundir.paths import RunPaths
from tests.cli.conftest import make_environment
from tests.cli.test_command_run import files, lines_to_paste, paste

if TYPE_CHECKING:
    from tests.cli.conftest import Command

SCRIPT = "echo from:${SUPERVISOR_RESUME_FROM##*/}\n"
LINE = ("run", "--plain", "--", "bash", "train.sh")
CONFIG = "name: conf\ncommand: [bash, train.sh]\ncheckpoints: {directory: runs/train}\n"


@pytest.fixture(autouse=True)
def run_dir(tmp_path: Path) -> Path:
    """A directory with two checkpoints that no run made, and a script beside it."""
    folder = tmp_path / "runs" / "train"
    folder.mkdir(parents=True)
    for step in (10, 20):
        (folder / f"step-{step}.bin").write_text(str(step))
    (tmp_path / "train.sh").write_text(SCRIPT)
    (tmp_path / "c.yaml").write_text(CONFIG)
    return folder


def started_from(folder: Path) -> list[str | None]:
    """The step that each attempt was told to go on from."""
    ledger = read_ledger(RunPaths(folder).ledger)
    begun = [entry for entry in ledger if entry["type"] == "attempt_started"]
    return [(entry["checkpoint"] or {}).get("step") for entry in begun]


@pytest.mark.parametrize("form", [LINE, ("run", "c.yaml", "--plain")])
@pytest.mark.parametrize(("choice", "step"), [("use", 20), ("ignore", None)])
def test_without_a_terminal_two_lines_decide(
    command: Command, tmp_path: Path, form: tuple[str, ...], choice: str, step: int | None
) -> None:
    """Nothing is written before; the pasted line starts, and no later start asks again."""
    before = files(tmp_path)
    done = command(*form)
    assert done.returncode == 78
    assert "step-20.bin, step-10.bin" in done.stderr
    assert files(tmp_path) == before
    line = next(one for one in lines_to_paste(done.stderr) if f"--existing {choice}" in one)
    again = paste(line, tmp_path)
    assert again.returncode == 0, again.stderr
    folder = tmp_path / "runs" / ("train" if form is LINE else "conf")
    assert started_from(folder) == [step]
    history = read_history(RunPaths(folder))[0]
    assert history.existing == choice
    events = command("events", "conf" if form is not LINE else "train").stdout
    assert f"Decided at the start: {choice} the checkpoints" in " ".join(events.split())
    kept = json.loads(RunPaths(folder).config.read_text())
    assert kept["resume"]["existing"] == choice
    # The decision holds for later starts, which neither ask nor record it again.
    assert command(*form[:1], "--again", *form[1:]).returncode in (0, 1)
    assert json.loads(RunPaths(folder).config.read_text())["resume"]["existing"] == choice
    assert [e["type"] for e in read_ledger(RunPaths(folder).ledger)].count("existing_decided") == 1


def test_a_decision_holds_although_no_attempt_was_started(run_dir: Path) -> None:
    """A supervisor that dies before the first attempt leaves the decision."""
    config = RunConfig(command=("a",)).resolved(run_dir.parents[1])
    config = config.model_copy(update={"run_dir": str(run_dir)})
    config = config.model_copy(
        update={"checkpoints": config.checkpoints.model_copy(update={"directory": str(run_dir)})}
    )
    history = History()
    assert undecided(config, run_dir, history) == ["step-20.bin", "step-10.bin"]
    decided = with_existing(config, replace(history, existing="ignore"))
    assert decided.resume.existing == "ignore"
    assert decide(decided, run_dir, history, TypedLine("run"), may_ask=False) is None
    assert undecided(config, run_dir, replace(history, attempt=1)) == []


@pytest.mark.parametrize(
    ("written", "decided", "option"),
    [("use", None, "ignore"), (None, "use", "ignore"), ("ignore", "use", "use")],
)
def test_a_contradiction_is_refused(written: str | None, decided: str | None, option: str) -> None:
    """The configuration outranks a decision, and an option contradicts neither."""
    resume = ResumeConfig.model_validate({"existing": written})
    config = RunConfig(command=("a",), resume=resume)
    history = replace(History(), existing=decided)
    with pytest.raises(SupervisorError, match=f"--existing {option}, but"):
        with_existing(config, history, option)
    assert with_existing(config, history).resume.existing == (written or decided)


class Terminal:
    """`supervisor run` at a terminal."""

    def __init__(self, folder: Path, words: tuple[str, ...]) -> None:
        self.said = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.chdir(folder)
            argv = [sys.executable, "-m", "supervisor", *words]
            os.execve(sys.executable, argv, make_environment(folder))

    def wait_for(self, text: str) -> None:
        """Read until the text was printed."""
        deadline = time.monotonic() + 60
        while text not in self.said:
            assert time.monotonic() < deadline, self.said
            self.said += os.read(self.fd, 65536).decode().replace("\r", "")

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self.fd, text.encode())

    def end(self, again: str = "") -> int:
        """Read to the end; the exit code, or minus a signal's number.

        `again` is typed once a second: Python does not see a Ctrl-C that comes between the prompt
        and its wait for a key before the next key.
        """
        try:
            while True:
                if again and not select.select([self.fd], [], [], 1.0)[0]:
                    self.type(again)
                    continue
                if not (data := os.read(self.fd, 65536)):
                    break
                self.said += data.decode().replace("\r", "")
        except OSError:
            pass  # the last process has closed the terminal (EIO)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.parametrize(("answer", "code"), [("\n", 78), ("abort\n", 78), ("\x03", 130)])
def test_the_question_aborts_by_default(tmp_path: Path, answer: str, code: int) -> None:
    """Nothing is written then, and the lines to paste are printed."""
    before = files(tmp_path)
    terminal = Terminal(tmp_path, LINE)
    terminal.wait_for("[abort]: ")
    terminal.type(answer)
    assert terminal.end(again="\x03" if code == 130 else "") == code
    assert ("--existing use" in terminal.said) == (code == 78)
    assert files(tmp_path) == before


def test_a_signal_ends_the_question(tmp_path: Path) -> None:
    """Nothing runs yet that would have to save."""
    terminal = Terminal(tmp_path, LINE)
    terminal.wait_for("[abort]: ")
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.end() == -signal.SIGTERM


def test_an_answer_decides(tmp_path: Path, run_dir: Path) -> None:
    """The run starts, and the next start does not ask."""
    terminal = Terminal(tmp_path, LINE)
    terminal.wait_for("[abort]: ")
    terminal.type("use\n")
    assert terminal.end() == 0, terminal.said
    assert started_from(run_dir) == [20]
    again = Terminal(tmp_path, LINE)
    assert again.end() == 0
    assert "[abort]" not in again.said


def test_quiet_asks_nothing(tmp_path: Path) -> None:
    """With -q a terminal gets the error, too."""
    terminal = Terminal(tmp_path, ("run", "-q", *LINE[2:]))
    assert terminal.end() == 78
    assert "[abort]" not in terminal.said


def test_the_check_says_what_a_started_run_does(command: Command, tmp_path: Path) -> None:
    """A directory that is configured after the first attempt holds the run, as the check says."""
    config = "name: conf\ncommand: [bash, -c, 'exit 3']\nrestart: {max_failures: 1}\n"
    (tmp_path / "c.yaml").write_text(config)
    assert command("run", "c.yaml", "--plain").returncode == 1
    (tmp_path / "c.yaml").write_text(config + "checkpoints: {directory: runs/train}\n")
    done = command("check", "c.yaml", "--json")
    found = [one for one in json.loads(done.stdout) if one["what"] == "existing"]
    assert (done.returncode, [one["level"] for one in found]) == (78, ["fail"])
    assert "resumes from" not in done.stdout
    assert command("resume", "runs/conf").returncode == 0
    held = command("run", "c.yaml", "--plain")
    assert held.returncode == 78
    assert "checkpoints that this run did not make" in held.stdout
