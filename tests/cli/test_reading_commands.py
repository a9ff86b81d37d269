"""logs, events, checkpoints, validate, diagnose, check, init: their output and exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from supervisor.checkpoint.records import NO_OPTIMIZER
from supervisor.cli import ask_survey
from supervisor.config.load import load_config
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import OnRead, survey

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command, FakeRun


def test_logs_are_of_one_attempt_and_without_control_sequences(
    command: Command, fake_run: FakeRun
) -> None:
    """The ledger's offsets separate the attempts; of a progress bar the last state stays."""
    first, second = b"\x1b[1mone\x1b[0m\n 10%\r 20%\n", b"two \xff\nlast"
    fake_run.paths.train_log.write_bytes(first + second)
    for attempt, offset in ((1, 0), (2, len(first))):
        fake_run.record({"type": "attempt_started", "attempt": attempt, "log_offset": offset})
    assert command("logs", "--attempt", 1).stdout == "one\n 20%\n"
    assert command("logs", "--attempt", 2).stdout == "two �\nlast\n"
    assert command("logs", "-n", 1).stdout == "last\n"
    assert command("logs").stdout == "one\n 20%\ntwo �\nlast\n"
    refused = command("logs", "--attempt", 3)
    assert refused.returncode == 2
    assert "1 to 2" in refused.stderr


def test_logs_follow_until_the_run_ends(
    fake_run: FakeRun, environment: dict[str, str], tmp_path: Path
) -> None:
    """The last lines are not lost, even after the file was truncated."""
    fake_run.hold_lock()
    fake_run.paths.train_log.write_text("one\n")
    with subprocess.Popen(
        [sys.executable, "-m", "supervisor", "logs", "-f"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True,
    ) as logs:  # fmt: skip
        assert logs.stdout is not None
        assert logs.stdout.readline() == "one\n"
        with fake_run.paths.train_log.open("a") as log:
            log.write("two and more\n")
        assert logs.stdout.readline() == "two and more\n"
        fake_run.paths.train_log.write_text("new\n")
        assert logs.stdout.readline() == "new\n"
        with fake_run.paths.train_log.open("a") as log:
            log.write("bye")
        fake_run.end()
        assert logs.wait(40) == 0
        assert logs.stdout.read() == "bye\n"


def test_events_tell_a_story(command: Command, fake_run: FakeRun) -> None:
    """Each entry is a sentence; a newer version's entry is shown as JSON; --json prints all."""
    fake_run.create()
    fake_run.record(
        {"type": "attempt_started", "attempt": 1, "pid": 7, "checkpoint": None},
        {"type": "attempt_ended", "attempt": 1, "signal": 9, "failure": "killed", "step": 6050,
         "duration_s": 90, "reason": "nobody knows why", "evidence": ["a \x1b[31mline"]},
        {"type": "decision", "state": "backoff", "wait_s": 20.0, "reason": "no progress"},
        {"type": "checkpoint", "path": "/o/checkpoint-5", "step": 5, "bytes": 2048,
         "valid": False, "reason": "model.pt is missing"},
        {"type": "from_the_future", "x": 1},
        {"type": "attempt_started", "odd": True},
    )  # fmt: skip
    done = command("events")
    told = " ".join(done.stdout.split())
    for sentence in (
        "The run 'demo' was created",
        "Attempt 1 started from the beginning (pid 7).",
        "Attempt 1 ended by SIGKILL at step 6,050, after 1m30s: killed. Nobody knows why.",
        "| a line",
        "Decided to wait 20s before the next attempt: no progress.",
        "checkpoint-5 (step 5, 2.0 KiB) is NOT valid: model.pt is missing.",
        'from_the_future: {"x": 1}',
        'attempt_started: {"odd": true}',
    ):
        assert sentence in told
    assert max(map(len, done.stdout.splitlines())) <= 80
    with fake_run.paths.ledger.open("ab") as ledger:
        ledger.write(b'{"type":"torn')
    again = command("events", "--json")
    assert len(json.loads(again.stdout)) == 7
    assert "1 damaged line" in again.stderr


def test_checkpoints_are_listed_pinned_and_exported(
    command: Command, fake_run: FakeRun, tmp_path: Path
) -> None:
    """A bad one is listed with its reason, pinned by path or name, and not exported."""
    bad = fake_run.run_dir / "checkpoint-5"
    bad.mkdir()
    (bad / "training_state.json").write_text('{"global_step": 5, "current_epoch": 0}')
    listed = command("checkpoints")
    assert "checkpoint-5" in listed.stdout
    assert "NO" in listed.stdout
    assert command("checkpoints", "pin", bad).returncode == 0
    (body,) = json.loads(command("checkpoints", fake_run.run_dir, "--json").stdout)
    assert (body["step"], body["valid"], body["pinned"]) == (5, False, True)
    contract = {"path", "step", "epoch", "kind", "tier", "bytes", "valid", "proof", "reason"}
    assert contract <= set(body)
    assert command("checkpoints", "unpin", "checkpoint-5").stdout == "unpinned checkpoint-5\n"
    assert command("checkpoints", "pin", "checkpoint-6").returncode == 2
    refused = command("checkpoints", "export", bad, tmp_path / "copy")
    assert refused.returncode == 1
    assert not (tmp_path / "copy").exists()


def test_validate_exits_with_its_verdict(command: Command, tmp_path: Path) -> None:
    """Exit 0 only for a proven checkpoint; a missing path is not valid either."""
    good = tmp_path / "ckpt.safetensors"
    header = b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
    good.write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    assert command("validate", good).returncode == 0
    good.write_bytes(good.read_bytes()[:-1])
    done = command("validate", good, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["valid"] is False
    assert command("validate", tmp_path / "nothing").returncode == 1


def test_diagnose_names_the_failure(command: Command, tmp_path: Path) -> None:
    """It needs only a log, and prints for people or as JSON."""
    log = tmp_path / "x.log"
    log.write_text(
        'step 5 loss 1.0\nTraceback (most recent call last):\n  File "train.py", line 3, in main\n'
        "    f()\nValueError: no such thing\n"
    )
    assert "ValueError" in command("diagnose", log).stdout
    body = json.loads(command("diagnose", log, "--json").stdout)
    assert (body["failure"], body["exception"]) == ("exception", "ValueError")
    assert command("diagnose", tmp_path / "nothing").returncode == 2


@pytest.mark.parametrize(
    ("extra", "what"),
    [
        ("command: [no-such-program]", "command"),
        ("command: [bash, missing.sh]", "command"),
        ("command: [bash]\nrun_dir: a-file/run", "run_dir"),
        ("command: [bash]\ncheckpoints: {directory: old}", "existing"),
    ],
)
def test_check_fails_with_what_to_do(
    command: Command, tmp_path: Path, extra: str, what: str
) -> None:
    """`check` exits 78 with one failed finding and a way out, and writes no file."""
    (tmp_path / "a-file").write_text("")
    (tmp_path / "old" / "checkpoint-1").mkdir(parents=True)
    (tmp_path / "old" / "checkpoint-1" / "model.pt").write_text("")
    config = tmp_path / "c.yaml"
    config.write_text(extra + "\n")
    done = command("check", config, "--json")
    assert done.returncode == 78, done.stderr
    failed = [f for f in json.loads(done.stdout) if f["level"] == "fail" and f["what"] != "GPU"]
    assert [f["what"] for f in failed] == [what]
    assert failed[0]["do"]
    assert not (tmp_path / "runs").exists()


def test_check_names_a_placeholder_that_is_not_filled_in(command: Command, tmp_path: Path) -> None:
    """Only `resume.args` are filled in; the trainer would get the braces."""
    config = tmp_path / "c.yaml"
    config.write_text('command: [bash, -c, "{checkpoint}"]\nresume: {by: trainer}\n')
    done = command("check", config, "--json")
    assert any("{checkpoint} in `command`" in f["text"] for f in json.loads(done.stdout))


def test_check_tells_of_a_newest_that_is_damaged(command: Command, tmp_path: Path) -> None:
    """A young checkpoint is reported, too: no process is alive that could still write it."""
    header = b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
    for step, data in ((1, b"1234"), (2, b"1")):
        path = tmp_path / "ckpt" / f"checkpoint-{step}"
        path.mkdir(parents=True)
        (path / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    config = tmp_path / "c.yaml"
    config.write_text(
        "command: [bash]\ncheckpoints: {directory: ckpt}\nresume: {by: trainer, existing: use}\n"
    )
    done = command("check", config)
    assert done.returncode == 0, done.stdout
    assert "checkpoint-2 is not valid" in done.stdout
    assert "resumes from checkpoint-1" in done.stdout


def test_export_does_not_go_into_another_checkpoint(command: Command, tmp_path: Path) -> None:
    """A second export is refused: its files would count as a part of the checkpoint."""
    source = tmp_path / "checkpoint-5"
    source.mkdir()
    header = b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
    (source / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    for code in (0, 2):
        done = command("checkpoints", "export", source, tmp_path / "copy")
        assert done.returncode == code, done.stderr
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["m.safetensors"]


def test_export_into_a_directory_that_is_not_there(command: Command, tmp_path: Path) -> None:
    """A slash at the end means a directory: the copy gets its step's name, beside others."""
    header = b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
    names = ["step-1.safetensors", "step-2.safetensors"]
    for name in names:
        (tmp_path / name).write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
        done = command("checkpoints", "export", tmp_path / name, f"{tmp_path}/copy/")
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == names


def test_export_again_does_not_go_into_the_copy_of_before(command: Command, tmp_path: Path) -> None:
    """Two exports of a directory into a directory: the first copy stays unchanged."""
    source = tmp_path / "checkpoint-5"
    source.mkdir()
    header = b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
    (source / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    for code in (0, 2):
        done = command("checkpoints", "export", source, f"{tmp_path}/copies/")
        assert done.returncode == code, done.stderr
    copy = tmp_path / "copies" / "checkpoint-5"
    assert [path.name for path in copy.iterdir()] == ["m.safetensors"]


def test_check_passes_what_would_run(command: Command, tmp_path: Path) -> None:
    """Warnings alone do not fail, and the lines fit the terminal."""
    config = tmp_path / "c.yaml"
    config.write_text("command: [bash, -c, 'true']\nresume: {by: trainer}\n")
    done = command("check", config)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("ok    configuration")
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if str(tmp_path) not in line)


def test_init_writes_what_run_reads(command: Command, tmp_path: Path) -> None:
    """The command after -- is written word for word; a file is replaced only with --force."""
    done = command("init", "my.yaml", "--", "python", "t.py", "--lr", "1e-3")
    assert done.returncode == 0
    config = load_config(tmp_path / "my.yaml").config
    assert config.command == ("python", "t.py", "--lr", "1e-3")
    assert config.name == "my"
    before = (tmp_path / "my.yaml").read_text()
    assert command("init", "my.yaml", "--", "other").returncode == 2
    assert (tmp_path / "my.yaml").read_text() == before
    assert command("init", "my.yaml", "--force", "--", "other").returncode == 0
    assert load_config(tmp_path / "my.yaml").config.command == ("other",)
    assert command("init", "--", "x").returncode == 0
    assert load_config(tmp_path / "config.yaml").config.command == ("x",)


def test_a_name_that_is_no_text_can_be_shown(
    fake_run: FakeRun, environment: dict[str, str], tmp_path: Path
) -> None:
    """A strict terminal gets the name escaped; JSON reads back the very name."""
    folder = os.fsencode(fake_run.run_dir) + b"/\xff\xfe"
    os.mkdir(folder)
    with open(folder + b"/training_state.json", "w") as file:
        file.write('{"global_step": 6, "format": 1}')
    for words in (["checkpoints"], ["validate", os.fsdecode(folder), "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "supervisor", *words],
            cwd=tmp_path,
            env={**environment, "PYTHONIOENCODING": "utf-8:strict"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "\\udcff\\udcfe" in done.stdout, done.stderr
    assert os.fsencode(json.loads(done.stdout)["path"]) == folder


def test_a_long_survey_is_told_of_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long survey reports its progress on stderr; with `silent` it prints nothing."""
    for step in (1, 2, 3):
        (tmp_path / f"checkpoint-{step}").mkdir()
    heard = threading.Event()
    echo = ask_survey.echo

    def say(line: str, *, err: bool) -> None:
        echo(line, err=err)
        heard.set()

    def slow(request: SurveyRequest, looked: OnRead | None = None) -> Survey:
        found = survey(request, looked)
        assert looked is None or heard.wait(30)
        return found

    monkeypatch.setattr(ask_survey, "FIRST_WORD_S", 0.01)
    monkeypatch.setattr(ask_survey, "survey", slow)
    monkeypatch.setattr(ask_survey, "echo", say)
    request = SurveyRequest(tmp_path, existing="use")
    threads = threading.active_count()
    found = ask_survey.survey_aloud(request)
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"reading the checkpoints in .*: .*, 0 s so far\n", said.err)
    assert ask_survey.survey_aloud(request, silent=True) == found
    assert capsys.readouterr().err == ""
    assert threading.active_count() == threads


def test_a_quick_survey_says_nothing(command: Command, fake_run: FakeRun) -> None:
    """A quick survey prints only the answer, on stdout."""
    fake_run.record({"type": "run_started", "run_id": "r"})
    shown = command("checkpoints", fake_run.paths.run_dir)
    assert (shown.stdout, shown.stderr) == ("No checkpoints yet.\n", "")


def test_check_says_what_resuming_loses(command: Command, tmp_path: Path) -> None:
    """The checkpoint is used, and the finding warns that HF saved no optimizer."""
    saved = tmp_path / "out" / "checkpoint-10"
    saved.mkdir(parents=True)
    (saved / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (saved / "trainer_state.json").write_text('{"global_step": 10}')
    text = "name: n\ncommand: ['true']\ncheckpoints: {directory: out}\nresume: {existing: use}\n"
    (tmp_path / "c.yaml").write_text(text)
    findings = json.loads(command("check", "c.yaml", "--json").stdout)
    told = [(f["level"], f["text"]) for f in findings if f["what"] == "checkpoint"]
    assert "resumes from checkpoint-10" in told[0][1]
    assert told[1] == ("warn", f"checkpoint-10: {NO_OPTIMIZER}")
