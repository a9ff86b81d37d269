"""What `run` and `check` report if another run owns the checkpoint directory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from supervisor.checkpoint import owner_mark
from supervisor.checkpoint.owner_mark import mark_of
from tests.cli.conftest import FakeRun

if TYPE_CHECKING:
    from tests.cli.conftest import Command

CONFIG = "name: mine\ncommand: [touch, started]\ncheckpoints: {directory: out}\n"


@pytest.fixture
def other(tmp_path: Path, fake_run: FakeRun) -> FakeRun:
    """The run `demo`, which saves into `out`."""
    fake_run.create()
    mark = mark_of("r1", "demo", fake_run.run_dir)
    assert owner_mark.make(tmp_path / ".out.supervised-by", mark)
    return fake_run


def configure(tmp_path: Path, more: str = "") -> Path:
    """Write the configuration of the run `mine`, which also saves into `out`."""
    path = tmp_path / "mine.yaml"
    path.write_text(CONFIG + more)
    return path


def remark(tmp_path: Path, **fields: Any) -> None:
    """Change the mark."""
    place = tmp_path / ".out.supervised-by"
    found = owner_mark.read(place)
    assert found is not None
    assert found.mark is not None
    owner_mark.renew(place, replace(found.mark, **fields))


def owner_of(command: Command, config: Path) -> tuple[int, dict[str, str]]:
    """The exit code of `check`, and its finding about the owner."""
    done = command("check", config, "--json")
    (found,) = [one for one in json.loads(done.stdout) if one["what"] == "owner"]
    return done.returncode, found


def test_a_directory_that_another_run_has(command: Command, other: FakeRun, tmp_path: Path) -> None:
    """`run` exits 78 and names both runs and directories; `--take-over` does not help."""
    config = configure(tmp_path)
    for options in ((), ("--take-over",), ("--detach",)):
        done = command("run", config, *options)
        assert done.returncode == 78, done.stdout
        for word in ("'demo'", str(other.run_dir), "'mine'", str(tmp_path / "runs" / "mine")):
            assert word in done.stderr
        assert "--take-over" not in done.stderr
    assert not (tmp_path / "started").exists()
    assert not (tmp_path / "runs" / "mine").exists()
    code, found = owner_of(command, config)
    assert (code, found["level"]) == (78, "fail")
    assert "'demo'" in found["text"]
    assert "'mine'" in found["text"]


def test_before_the_question_of_existing_checkpoints(
    command: Command, other: FakeRun, tmp_path: Path
) -> None:
    """The owner is named first: `existing: use` would be the wrong advice."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoint-10").mkdir()
    done = command("run", configure(tmp_path))
    assert done.returncode == 78
    assert str(other.run_dir) in done.stderr
    assert "existing" not in done.stderr


@pytest.mark.parametrize("choice", ["use", "ignore", None])
def test_a_finished_runs_directory(
    command: Command, other: FakeRun, tmp_path: Path, choice: str | None
) -> None:
    """`existing: use` resumes from a finished run's checkpoints; otherwise the error advises it."""
    other.record({"type": "decision", "state": "completed", "reason": "exit 0"})
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "notes.txt").write_text("what the run left")
    more = "" if choice is None else f"resume: {{existing: {choice}}}\n"
    config = configure(tmp_path, more)
    code, found = owner_of(command, config)
    done = command("run", config, "--plain")
    if choice == "use":
        assert (code, found["level"]) == (0, "warn")
        assert done.returncode == 0, done.stderr
        assert "over from the run 'demo'" in done.stdout
        assert "that run is finished" in done.stdout
    else:
        assert (code, found["level"]) == (78, "fail")
        assert done.returncode == 78
        assert "existing: use" in done.stderr


def test_a_run_that_is_gone(command: Command, other: FakeRun, tmp_path: Path) -> None:
    """The directory of an owner that is gone is taken over, reported and recorded."""
    shutil.rmtree(other.run_dir)
    config = configure(tmp_path)
    code, found = owner_of(command, config)
    assert (code, found["level"]) == (0, "warn")
    assert "its run directory is gone" in found["text"]
    assert owner_mark_of(tmp_path)["run_id"] == "r1", "check changes nothing"
    done = command("run", config, "--plain")
    assert done.returncode == 0, done.stderr
    assert "over from the run 'demo'" in done.stdout
    told = " ".join(command("events", tmp_path / "runs" / "mine").stdout.split())
    assert f"The run took {tmp_path / 'out'} over from the run in {other.run_dir}" in told
    code, found = owner_of(command, config)
    assert (code, found["level"]) == (0, "ok")
    assert owner_mark_of(tmp_path)["name"] == "mine"


def owner_mark_of(tmp_path: Path) -> dict[str, Any]:
    """The content of the mark."""
    return dict(json.loads((tmp_path / ".out.supervised-by").read_text()))


@pytest.mark.parametrize("shape", ["another machine's", "damaged"])
def test_a_run_that_cannot_be_seen(
    command: Command, other: FakeRun, tmp_path: Path, shape: str
) -> None:
    """Exit 78 names the option; with it the run starts under its own mark, on record."""
    shutil.rmtree(other.run_dir)
    if shape == "damaged":
        (tmp_path / ".out.supervised-by").write_text("{")
    else:
        remark(tmp_path, host="gpu07", machine_id="f" * 32)
    config = configure(tmp_path)
    assert owner_of(command, config)[1]["level"] == "fail"
    done = command("run", config)
    assert done.returncode == 78
    assert "--take-over" in done.stderr
    assert not (tmp_path / "started").exists()
    done = command("run", config, "--take-over", "--plain")
    assert done.returncode == 0, done.stderr
    assert "the run takes" in done.stdout
    assert (tmp_path / "started").exists()
    mark = owner_mark_of(tmp_path)
    ledger = (tmp_path / "runs" / "mine" / ".supervisor" / "ledger.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in ledger]
    (created,) = [entry for entry in entries if entry["type"] == "run_created"]
    (took,) = [entry for entry in entries if entry["type"] == "took_over"]
    assert (created["run_id"], mark["name"]) == (mark["run_id"], "mine")
    assert took["directory"] == str(tmp_path / "out")
    assert took["run_id"] == (None if shape == "damaged" else "r1")


def test_a_run_directory_is_its_own_checkpoint_directory(command: Command, tmp_path: Path) -> None:
    """Without `checkpoints` the run directory is marked, beside it as any other."""
    (tmp_path / "plain.yaml").write_text("name: plain\ncommand: ['true']\n")
    assert command("run", tmp_path / "plain.yaml").returncode == 0
    mark = json.loads((tmp_path / "runs" / ".plain.supervised-by").read_text())
    assert mark["run_dir"] == str(tmp_path / "runs" / "plain")
    shutil.move(tmp_path / "runs" / "plain", tmp_path / "elsewhere")
    assert command("run", tmp_path / "plain.yaml").returncode == 0, "the place is free again"


@pytest.mark.root
def test_check_says_where_no_mark_can_be(
    command: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    """No mark can be made beside or inside: a warning, because the run goes on all the same."""
    config = configure(tmp_path)
    assert owner_of(command, config)[1]["level"] == "ok"
    assert list(tmp_path.glob(".out*")) == []
    closed = tmp_path / "closed"
    (closed / "out").mkdir(parents=True)
    config.write_text(CONFIG.replace("out}", "closed/out}"))
    mount = f"mount --bind {closed} {closed} && mount -o remount,bind,ro {closed}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh",
         sys.executable, "-m", "supervisor", "check", str(config), "--json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    (found,) = [one for one in json.loads(done.stdout) if one["what"] == "owner"]
    assert found["level"] == "warn"
    assert "cannot be marked" in found["text"]


NAMES = """
import json, os, pathlib, sys
place = pathlib.Path("out").absolute() / os.environ.get("BELOW", "")
place.mkdir(exist_ok=True)
path = place / "checkpoint-10.pt"
path.write_text(" ".join(sys.argv))
line = {"attempt": 1, "directory": str(place), "ordinal": 1, "checkpoint": str(path), "step": 10,
        "changed": path.stat().st_mtime, "wall": path.stat().st_mtime}
record = pathlib.Path(os.environ["SUPERVISOR_RUN_DIR"], ".supervisor", "trainings.jsonl")
record.write_text(json.dumps(line) + "\\n")
"""


@pytest.fixture
def saving(command: Command, tmp_path: Path) -> list[str]:
    """A finished run `train --lr 1`, whose trainer has named `out`; the words without the rate."""
    (tmp_path / "train.py").write_text(NAMES)
    words = ["--", sys.executable, "train.py"]
    done = command("run", "--plain", *words, "--lr", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return words


@pytest.mark.parametrize("name", ["other", "auto"])
def test_a_new_run_that_would_save_over_a_finished_one(
    command: Command, saving: list[str], tmp_path: Path, name: str
) -> None:
    """Refused before the launch, with both ways out; `--take-over` begins it."""
    refused = command("run", *saving, "--lr", "2")
    assert refused.returncode == 78
    assert "to begin another run (it would save into" in refused.stderr
    assert "--output_dir" in refused.stderr
    before = (tmp_path / "out" / "checkpoint-10.pt").read_bytes()
    done = command("run", "--plain", "--name", name, *saving, "--lr", "2")
    assert done.returncode == 78, done.stdout
    for word in ("'train'", str(tmp_path / "out"), "--output_dir", "--take-over"):
        assert word in done.stderr
    assert (tmp_path / "out" / "checkpoint-10.pt").read_bytes() == before
    assert [one.name for one in (tmp_path / "runs").iterdir() if one.is_dir()] == ["train"]
    done = command("run", "--plain", "--name", name, "--take-over", *saving, "--lr", "2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "checkpoint-10.pt").read_bytes() != before
    assert owner_mark_of(tmp_path)["name"] != "train"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--lr", "2", "--output_dir", "new"], 0),
        (["--lr", "2", "--output_dir", "out"], 78),
        (["--lr", "2", "--config", "b.yaml"], 0),
        (["--lr", "2", "--model", "out"], 78),
        (["--lr", "1"], 0),
        (["other"], 0),
    ],
)
def test_what_tells_that_a_new_run_saves_there(
    command: Command, saving: list[str], more: list[str], code: int
) -> None:
    """A word that may decide where the trainer saves lets the run begin; it warns then."""
    done = command("run", "--plain", "--name", "other", *saving, *more)
    assert done.returncode == code, done.stdout + done.stderr


def test_another_program_reads_what_a_run_saved(
    command: Command, saving: list[str], tmp_path: Path
) -> None:
    """A command that is given the directory to read from is not refused, one that writes is."""
    (tmp_path / "next.py").write_text("print('read')\n")
    words = ["--", sys.executable, "next.py"]
    assert command("run", "--name", "reads", *words, "--model", "out").returncode == 0
    assert command("run", "--name", "writes", *words, "--output_dir=out").returncode == 78
    assert saving
