"""Unreadable records, names that are no text, and odd files: each gets one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.cli.show.advice import shell_word
from supervisor.cli.show.terminal import json_text, strip_controls
from supervisor.core.wording import counted
from supervisor.rundir.paths import RunPaths
from tests.cli.conftest import make_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Command, FakeRun

READING = ("status", "logs", "events", "checkpoints", "stop", "hold", "resume", "reload")
CONFIG = "name: demo\ncommand: ['true']\n"


@pytest.fixture
def others(tmp_path: Path) -> Iterator[Path]:
    """A run directory of root's that other accounts can see but not enter."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        state_dir = RunPaths(place / "runs" / "demo").state_dir
        state_dir.mkdir(parents=True)
        state_dir.chmod(0o700)
        (state_dir / "ledger.jsonl").write_text("x\n")
        (place / "c.yaml").write_text(CONFIG)
        yield place


def as_nobody(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `supervisor …` as the account 65534."""
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    return subprocess.run(
        [*drop, sys.executable, "-m", "supervisor", *words],
        cwd=place,
        env={**make_environment(place), "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.root
@pytest.mark.parametrize("closed", [".supervisor", ""])
def test_anothers_run_is_not_readable(others: Path, closed: str) -> None:
    """The error is not "never started": it names the owner and the way out."""
    (others / "runs" / "demo" / closed).chmod(0o700)
    for verb in READING:
        for target in ("runs/demo", "c.yaml"):
            done = as_nobody(others, verb, target)
            assert done.returncode == 78, (verb, target, done)
            assert "not readable for you" in done.stderr, (verb, target, done.stderr)
            assert "belongs to root" in done.stderr, (verb, target, done.stderr)
    for words in (["run", "c.yaml"], ["check", "c.yaml"], ["sbatch", "c.yaml"]):
        done = as_nobody(others, *words)
        text = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 78, (words, done)
        assert "not readable for you" in text, (words, text)


@pytest.mark.root
def test_one_closed_directory_hides_no_other(others: Path) -> None:
    """Without a target the readable runs are listed, despite a closed directory beside them."""
    (others / "closed").mkdir(mode=0o700)
    mine = RunPaths(others / "mine").state_dir
    mine.mkdir(parents=True)
    mine.chmod(0o755)
    (others / "runs" / "demo").chmod(0o700)
    done = as_nobody(others, "status")
    assert done.returncode == 0, done
    assert done.stdout.startswith("mine  never started")


def test_a_lost_status_is_not_never_started(command: Command, fake_run: FakeRun) -> None:
    """A run with a ledger was started, even if its status.json is lost."""
    assert "never started" in command("status").stdout
    fake_run.create()
    fake_run.paths.status.write_text("{")
    shown = json.loads(command("status", "--json").stdout)
    assert shown["state"] == "down"


@pytest.mark.parametrize("verb", ["check", "run"])
def test_what_is_no_file_is_no_configuration(command: Command, tmp_path: Path, verb: str) -> None:
    """A configuration that is not a regular file is neither waited for nor read without end."""
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10 << 30)
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    said = {
        "/dev/zero": "is a device", "fifo": "is a fifo", "large": "bytes long",
        "binary": "is not UTF-8", ".": "is a directory",
    }  # fmt: skip
    for path, text in said.items():
        done = command(verb, path)
        assert (done.returncode, done.stdout) == (78, ""), (path, done)
        assert text in done.stderr, (path, done)
    done = command("diagnose", "fifo")
    assert (done.returncode, "is not a file" in done.stderr) == (2, True)
    assert command("init", "--force", "fifo").returncode == 2


def limited(place: Path, count: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `supervisor …` with a limit of open files."""
    shell = f'ulimit -n {count}; exec "$@"'
    return subprocess.run(
        ["bash", "-c", shell, "-", sys.executable, "-m", "supervisor", *words],
        cwd=place,
        env=make_environment(place),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_few_descriptors_are_told_before_a_start(tmp_path: Path) -> None:
    """`run` refuses too few descriptors: a daemon that cannot open a file would wait for ever."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    done = limited(tmp_path, 20, "run", "c.yaml")
    assert (done.returncode, done.stdout) == (78, "")
    assert "may have 20 files open here, but a run needs 64" in done.stderr
    assert "fail  descriptors" in limited(tmp_path, 20, "check", "c.yaml").stdout
    assert not (tmp_path / "runs").exists()


def test_a_low_soft_limit_is_raised(tmp_path: Path) -> None:
    """Only a low hard limit is refused."""
    (tmp_path / "c.yaml").write_text("name: demo\ncommand: [bash, -c, 'ulimit -Sn >limit']\n")
    shell = 'ulimit -Sn 20; exec "$@"'
    words = ["bash", "-c", shell, "-", sys.executable, "-m", "supervisor", "run", "-q", "c.yaml"]
    done = subprocess.run(
        words, cwd=tmp_path, env=make_environment(tmp_path), timeout=60, check=False
    )
    assert done.returncode == 0
    assert int((tmp_path / "limit").read_text()) > 64


@pytest.mark.parametrize("verb", [*READING, "clean"])
def test_few_descriptors_break_no_command(fake_run: FakeRun, tmp_path: Path, verb: str) -> None:
    """A command prints at most one sentence, and never that the run was not started."""
    fake_run.create()
    fake_run.write_status("running")
    fake_run.paths.train_log.write_text("step 1\n")
    fake_run.hold_lock()
    for count in (20, 8, 6):
        words = [] if verb == "clean" else ["runs/demo"]
        if verb == "stop":
            words.append("--no-wait")
        done = limited(tmp_path, count, verb, *words)
        assert "Traceback" not in done.stderr
        assert "itself failed" not in done.stderr
        assert "never started" not in done.stdout
        assert " down" not in done.stdout
        assert "nothing runs" not in done.stdout


def test_a_directory_that_is_not_utf8(tmp_path: Path) -> None:
    """A run in such a directory is refused; other commands escape the name."""
    place = tmp_path / os.fsdecode(b"a\xff\xc2\x85b")
    place.mkdir()
    (place / "c.yaml").write_text(CONFIG)
    for words in (["run", "c.yaml"], ["check", "c.yaml"], ["sbatch", "c.yaml"]):
        done = subprocess.run(
            [sys.executable, "-m", "supervisor", *words],
            cwd=place, env=make_environment(tmp_path), capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 78
        assert b"a\\udcff\\x85b/runs/demo' has a byte in its name that is not UTF-8" in done.stderr
    RunPaths(place / "runs" / "demo").state_dir.mkdir(parents=True)
    for verb in ("status", "events", "checkpoints", "hold", "resume", "stop"):
        for option in ([], ["--json"]):
            done = subprocess.run(
                [sys.executable, "-m", "supervisor", verb, "runs/demo", *option],
                cwd=place, env={**make_environment(tmp_path), "LC_ALL": "C"},
                capture_output=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (verb, done)
            assert b"\xff" not in done.stdout
            assert b"\xc2\x85" not in done.stdout
            if option and verb not in ("events", "checkpoints"):
                run_dir = json.loads(done.stdout)["run_dir"]
                assert os.fsencode(run_dir) == os.fsencode(place / "runs" / "demo")


# CSI as one character, DEL, two characters that reverse the reading order, a line separator.
STEERING = "a\x9b31mb\x7fc\u202ed\u2066e\u2028f"


def test_nothing_that_steers_a_terminal_is_printed(command: Command, fake_run: FakeRun) -> None:
    """JSON escapes such characters and reads back equal; text leaves them out."""
    fake_run.create()
    fake_run.record({"type": "decision", "state": "held", "reason": STEERING})
    fake_run.write_status("held", reason=STEERING, name=STEERING, warnings=[STEERING])
    fake_run.paths.train_log.write_text(STEERING + "\n")
    for verb in ("status", "events", "logs", "hold", "resume", "stop"):
        for option in ([], ["--json"]):
            if verb == "logs" and option:
                continue
            done = command(verb, "runs/demo", *option)
            assert done.returncode == 0, (verb, done)
            assert not set(done.stdout + done.stderr) & set("\x9b\x7f\u202e\u2066\u2028\x1b"), verb
    assert json.loads(command("status", "--json").stdout)["reason"] == STEERING
    assert json.loads(command("events", "--json").stdout)[-1]["reason"] == STEERING


def test_json_is_equal_when_read() -> None:
    """Letters stay; controls, bidi characters and lone surrogates are escaped."""
    body = {"é": [STEERING, "\udcff", "ü", "\x00\n"]}
    text = json_text(body)
    assert json.loads(text) == body
    assert "é" in text
    assert "ü" in text
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "name", ["a b", "a\nb'\\x", os.fsdecode(b"x\xff\xc3\xa9y"), "it's", "\u2028"]
)
def test_a_path_may_be_typed_as_it_is_shown(name: str) -> None:
    """A shell reads the word as the name, and a terminal can show it."""
    word = shell_word(name)
    assert word.isprintable()
    assert strip_controls(word) == word
    done = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert done.stdout == os.fsencode(name)


def test_one_is_not_many() -> None:
    """`counted` writes `1 step`, but `0 steps`."""
    assert [counted(n, "step") for n in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]


INTENTS = {
    "directory": "Is a directory",
    "fifo": "is a fifo",
    "garbage": "cannot be understood",
    "nested": "cannot be understood",
    "large": "cannot be understood",
}


def lay_intent(path: Path, kind: str) -> None:
    """Make something at the intent's path that is no intent."""
    path.unlink(missing_ok=True)
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_text({"garbage": "{", "nested": "[" * 50_000, "large": " " * (1 << 20)}[kind])


@pytest.mark.parametrize("kind", INTENTS)
def test_an_intent_that_is_none(
    command: Command, fake_run: FakeRun, tmp_path: Path, kind: str
) -> None:
    """`run` and `check` report it; `status` shows what is known; `resume` repairs it."""
    fake_run.create()
    fake_run.write_status("stopped", intent="run")
    (tmp_path / "c.yaml").write_text(CONFIG)
    lay_intent(fake_run.paths.intent, kind)
    done = command("run", "c.yaml")
    assert done.returncode == 1, done
    assert INTENTS[kind] in done.stderr
    assert command("status").returncode == 0
    assert INTENTS[kind] in " ".join(command("check", "c.yaml").stdout.split())
    done = command("resume", "runs/demo")
    if kind == "directory":
        assert done.returncode == 78
        assert "rmdir" in done.stderr
        fake_run.paths.intent.rmdir()
        done = command("resume", "runs/demo")
    assert done.returncode == 0, done
    assert "nothing stands in the way" in command("check", "c.yaml").stdout
