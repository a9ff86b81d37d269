"""What `supervisor run` refuses, with which code, and without changing any file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.core.vocabulary import Intent
from supervisor.rundir.intent import write_intent

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeRun


CONFIG = "name: demo\ncommand: [touch, started]\n"


def write_config(tmp_path: Path, text: str = CONFIG) -> Path:
    """Write the configuration of the run `demo`."""
    path = tmp_path / "demo.yaml"
    path.write_text(text)
    return path


def snapshot(folder: Path) -> dict[str, int]:
    """Every file with its modification time."""
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*")}


def test_a_finished_run_exits_0_touching_nothing(
    command: Command, fake_run: FakeRun, tmp_path: Path
) -> None:
    """A requeue of a finished run is no error, and changes nothing."""
    config = write_config(tmp_path)
    fake_run.create()
    fake_run.record({"type": "decision", "state": "completed", "reason": "exit 0"})
    before = snapshot(fake_run.run_dir)
    done = command("run", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert "finished" in done.stdout
    assert snapshot(fake_run.run_dir) == before


@pytest.mark.parametrize(("intent", "code"), [(Intent.STOP, 75), (Intent.HOLD, 1)])
def test_the_operators_wish_beats_a_start(
    command: Command, fake_run: FakeRun, tmp_path: Path, intent: Intent, code: int
) -> None:
    """`run` exits 75 under a stop, 1 under a hold; both messages say how to go on."""
    config = write_config(tmp_path)
    write_intent(fake_run.paths.intent, intent)
    before = snapshot(fake_run.run_dir)
    done = command("run", config)
    assert done.returncode == code
    assert "supervisor resume" in done.stderr
    assert snapshot(fake_run.run_dir) == before


def test_a_held_run_stays_held_until_resumed(
    command: Command, fake_run: FakeRun, tmp_path: Path
) -> None:
    """The ledger has the hold: an earlier `resume` does not lift it, and the reason is printed."""
    config = write_config(tmp_path)
    fake_run.create()
    write_intent(fake_run.paths.intent, Intent.RUN)
    fake_run.record({"type": "decision", "state": "held", "reason": "5 failures in a row"})
    done = command("run", config)
    assert done.returncode == 1
    assert "5 failures in a row" in done.stderr


def test_an_unreadable_intent_holds(command: Command, fake_run: FakeRun, tmp_path: Path) -> None:
    """An unreadable intent is not overridden."""
    fake_run.paths.intent.write_text("{")
    done = command("run", write_config(tmp_path))
    assert done.returncode == 1
    assert "cannot be understood" in done.stderr


def test_another_supervisor_has_the_run(
    command: Command, fake_run: FakeRun, tmp_path: Path
) -> None:
    """`run` exits 69 and names the holder of the lock."""
    holder = fake_run.hold_lock()
    done = command("run", write_config(tmp_path))
    assert done.returncode == 69
    assert f"pid {holder.pid} on {os.uname().nodename}" in done.stderr


def test_a_directory_of_another_name_is_refused(
    command: Command, fake_run: FakeRun, tmp_path: Path
) -> None:
    """A run directory belongs to one name."""
    fake_run.name = "other"
    fake_run.create()
    done = command("run", write_config(tmp_path))
    assert done.returncode == 78
    assert "'other', not to 'demo'" in done.stderr


def test_undecided_checkpoints_are_refused_before_anything_is_written(
    command: Command, tmp_path: Path
) -> None:
    """Both choices are named, and no directory is made."""
    checkpoint = tmp_path / "out" / "checkpoint-500"
    checkpoint.mkdir(parents=True)
    (checkpoint / "model.pt").write_bytes(b"x")
    done = command("run", write_config(tmp_path, CONFIG + "checkpoints: {directory: out}\n"))
    assert done.returncode == 78
    assert "checkpoint-500" in done.stderr
    for choice in ("use", "ignore"):
        assert f"supervisor run {tmp_path}/demo.yaml --existing {choice}\n" in done.stderr
        assert f"existing: {choice}" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_wrong_configuration_is_refused(command: Command, tmp_path: Path) -> None:
    """A wrong configuration exits 78 with every problem."""
    done = command("run", write_config(tmp_path, "comand: [a]\ngrace: never\n"))
    assert done.returncode == 78
    assert "did you mean 'command'?" in done.stderr
    assert "grace" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_run_dir_that_cannot_be_made_is_named(command: Command, tmp_path: Path) -> None:
    """A file in the way is a configuration error."""
    (tmp_path / "runs").write_text("")
    done = command("run", write_config(tmp_path))
    assert done.returncode == 78
    assert "runs" in done.stderr


def test_a_run_directory_is_no_configuration(command: Command, fake_run: FakeRun) -> None:
    """The error names the configuration that was used."""
    fake_run.write_status("preempted")
    done = command("run", fake_run.run_dir)
    assert done.returncode == 78
    assert "supervisor run /etc/config.yaml" in done.stderr


def test_wrong_command_lines_exit_2(command: Command) -> None:
    """Unknown commands and options exit 2, with the nearest command."""
    done = command("stats")
    assert done.returncode == 2
    assert "'status'" in done.stderr
    assert command("status", "--jsn").returncode == 2


def test_json_of_the_configuration_is_never_needed_by_help(command: Command) -> None:
    """Help works for each command and names it."""
    for word in ("run", "status", "stop", "hold", "resume", "reload", "logs", "events", "check"):
        done = command(word, "--help")
        assert done.returncode == 0
        assert f"supervisor {word}" in done.stdout
    assert json.loads(command("schema").stdout)["title"]


@pytest.mark.parametrize("directory", ["ckpt", "ckpt/run-1"])
def test_a_file_where_checkpoints_should_be(
    command: Command, tmp_path: Path, directory: str
) -> None:
    """A file there never goes away by itself: `run` refuses, and `check` reports it."""
    (tmp_path / "ckpt").write_text("notes")
    config = write_config(tmp_path, f"{CONFIG}checkpoints: {{directory: {directory}}}\n")
    done = command("run", config)
    assert done.returncode == 78
    assert f"{tmp_path / 'ckpt'} is a file" in done.stderr
    assert "choose another checkpoints.directory" in done.stderr
    checked = command("check", config)
    assert checked.returncode == 78
    assert "is not a directory" in checked.stdout
    assert not (tmp_path / "runs").exists()


def test_a_link_into_a_volume_that_is_not_there(command: Command, tmp_path: Path) -> None:
    """The volume may be mounted soon, so the run is not refused."""
    (tmp_path / "ckpt").symlink_to(tmp_path / "volume" / "ckpt")
    config = write_config(tmp_path, f"{CONFIG}checkpoints: {{directory: ckpt}}\n")
    assert command("run", config, "--plain").returncode == 0


def test_an_unset_variable_in_a_path(command: Command, tmp_path: Path) -> None:
    """No directory of that name is made, and the error names the line."""
    text = f"{CONFIG}checkpoints: {{directory: $NOT_SET_HERE/ckpt}}\n"
    done = command("run", write_config(tmp_path, text))
    assert done.returncode == 78
    assert "line 3" in done.stderr
    assert "$NOT_SET_HERE is not set here" in done.stderr
    assert not list(tmp_path.glob("$*"))
    assert not (tmp_path / "runs").exists()


def test_words_that_no_shell_expands(command: Command, tmp_path: Path) -> None:
    """`check` warns; the trainer gets the words unchanged."""
    text = "name: demo\ncommand: [touch, --out=$SCRATCH/x, ~/y]\nenv: {OUT: ~/z}\n"
    shown = " ".join(command("check", write_config(tmp_path, text)).stdout.split())
    for word in ("--out=$SCRATCH/x", "~/y", "OUT=~/z"):
        assert f"{word} is" in shown
