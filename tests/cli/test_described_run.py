"""What commands make of a run whose trainer says of itself: where it saves, and how far it is."""

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from supervisor.checkpoint import owner_mark
from supervisor.checkpoint.owner_mark import mark_of
from supervisor.cli.show.progress import progress_text
from supervisor.core.status import SlurmStatus, Status
from supervisor.rundir.ledger import LedgerWriter
from supervisor.rundir.paths import RunPaths

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeRun


def described(fake_run: "FakeRun", directory: str, **more: Any) -> None:
    """The ledger of a run with one attempt that named this directory."""
    fake_run.create()
    fake_run.record(
        {"type": "attempt_started", "attempt": 1, "pid": 1},
        {"type": "described", "attempt": 1, "framework": "huggingface 5.24",
         "directory": directory, "total_steps": 1000, **more},
        {"type": "trainer_told", "attempt": 1, "sentence": "7 batches are repeated"},
        {"type": "trainer_told", "attempt": 1, "sentence": "it saves elsewhere", "is_ours": True},
    )  # fmt: skip


def save(place: Path, *steps: int) -> None:
    """Checkpoints of this run, in a trainer's own format."""
    place.mkdir(parents=True, exist_ok=True)
    for step in steps:
        with zipfile.ZipFile(place / f"checkpoint-{step}.pt", "w") as archive:
            archive.writestr("a/data.pkl", b"N.")


def listed(command: "Command", run_dir: Path) -> list[tuple[str, bool]]:
    """The paths that `supervisor checkpoints` lists, and whether each is called the best."""
    done = command("checkpoints", run_dir, "--json")
    assert done.returncode == 0, done.stderr
    return [(one["path"], one["best"]) for one in json.loads(done.stdout)]


def test_checkpoints_of_the_named_directory(
    command: "Command", fake_run: "FakeRun", tmp_path: Path
) -> None:
    """They are listed, pinned by name and by path, and the best is marked."""
    out = tmp_path / "out"
    described(fake_run, str(out), best=str(out / "checkpoint-10.pt"))
    save(out, 10, 20)
    assert listed(command, fake_run.run_dir) == [
        (str(out / "checkpoint-20.pt"), False), (str(out / "checkpoint-10.pt"), True),
    ]  # fmt: skip
    by_name = command("checkpoints", "pin", "checkpoint-20.pt")
    assert by_name.returncode == 0, by_name.stderr
    by_path = command("checkpoints", "pin", out / "checkpoint-10.pt")
    assert by_path.returncode == 0, by_path.stderr
    assert {path.name for path in fake_run.paths.pins.iterdir()} == {
        "checkpoint-10.pt", "checkpoint-20.pt",
    }  # fmt: skip


def test_a_moved_run_directory_takes_its_checkpoints_along(
    command: "Command", fake_run: "FakeRun", tmp_path: Path
) -> None:
    """A directory below the run directory is on record by its relative path."""
    described(fake_run, "out/deep", best="out/deep/checkpoint-10.pt")
    save(fake_run.run_dir / "out" / "deep", 10)
    moved = fake_run.run_dir.rename(tmp_path / "elsewhere")
    assert listed(command, moved) == [(str(moved / "out" / "deep" / "checkpoint-10.pt"), True)]


def test_events_tell_it(command: "Command", fake_run: "FakeRun") -> None:
    """Each entry is a sentence."""
    described(fake_run, "/data/out", best="/data/out/checkpoint-10",
              training={"directory": "/data/out", "ordinal": 2})  # fmt: skip
    said = " ".join(command("events", fake_run.run_dir).stdout.split())
    for sentence in (
        "The trainer of attempt 1 says: it trains with huggingface 5.24, saves into /data/out,"
        " makes 1,000 steps, calls checkpoint-10 its best checkpoint, this is training 2 with that"
        " directory.",
        "The trainer of attempt 1 says: 7 batches are repeated.",
        "It saves elsewhere.",
    ):
        assert " ".join(sentence.split()).replace(" ", "") in said.replace(" ", "")


def test_status_tells_adapter_and_total(command: "Command", fake_run: "FakeRun") -> None:
    """Library, per cent and time left, for people and in JSON."""
    fake_run.create()
    fake_run.write_status("running", adapter="huggingface 5.24", total=10_000, eta_s=2052.6)
    fake_run.hold_lock()
    said = command("status", fake_run.run_dir).stdout
    assert "step 6,100 of 10,000 (61 %) at 1.9 steps/s, 34m13s left" in " ".join(said.split())
    assert "adapter       huggingface 5.24" in said
    body = json.loads(command("status", fake_run.run_dir, "--json").stdout)
    assert (body["adapter"], body["total"], body["eta_s"]) == (
        "huggingface 5.24", 10_000, 2052.6,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (Status(step=999, total=1000), "step 999 of 1,000 (99 %)"),
        (Status(step=1000, total=1000), "step 1,000 of 1,000 (100 %)"),
        (Status(step=1200, total=1000), "step 1,200"),
        (Status(step=5, step_rate=1.0, total=65, eta_s=60.0, slurm=SlurmStatus()),
         "step 5 of 65 (7 %) at 1 steps/s, 1m left"),
        (Status(step=5, step_rate=1.0, total=65, eta_s=60.0,
                slurm=SlurmStatus(time_left_s=30.0)),
         "step 5 of 65 (7 %) at 1 steps/s, 1m left, but the job ends in 30s"),
        (Status(total=65), ""),
    ],
)  # fmt: skip
def test_how_far_it_is(status: Status, text: str) -> None:
    """Never rounded up to 100 %; the job's end is told if it comes first."""
    assert progress_text(status) == text


@pytest.mark.parametrize(
    ("lines", "level", "text"),
    [
        ("command: [python3, -I, t.py]", "warn", "none: python -I ignores PYTHONPATH"),
        ("command: [python3, t.py]\nintegrate: none", "ok", "none: integrate: none"),
        ("command: [python3, t.py]", None, None),
    ],
)
def test_check_says_why_there_is_no_adapter(
    command: "Command", tmp_path: Path, lines: str, level: str | None, text: str | None
) -> None:
    """What the command line and the configuration tell before a start."""
    (tmp_path / "t.py").touch()
    (tmp_path / "config.yaml").write_text(f"{lines}\nrun_dir: run\n")
    done = command("check", "config.yaml", "--json")
    found = [one for one in json.loads(done.stdout) if one["what"] == "adapter"]
    assert [(one["level"], one["text"]) for one in found] == (
        [] if text is None else [(level, text)]
    )


@pytest.mark.parametrize("is_described", [True, False])
def test_a_named_directory_that_became_anothers_is_refused(
    command: "Command", fake_run: "FakeRun", tmp_path: Path, *, is_described: bool
) -> None:
    """The next start is refused as for a configured directory, and `check` says so before.

    A training of less than a second may have named it in the record of its saves alone.
    """
    out = tmp_path / "out"
    if is_described:
        described(fake_run, str(out))
    else:
        fake_run.create()
        fake_run.record({"type": "attempt_started", "attempt": 1, "pid": 1})
        line = {"attempt": 1, "directory": str(out), "ordinal": 1,
                "checkpoint": str(out / "checkpoint-5"), "step": 5}  # fmt: skip
        fake_run.paths.trainings.write_text(json.dumps(line) + "\n")
    other = RunPaths(tmp_path / "runs" / "other")
    other.state_dir.mkdir(parents=True)
    writer = LedgerWriter(other.ledger, other.reserve)
    writer.append([{"type": "run_created", "run_id": "other", "name": "other"}])
    writer.close()
    assert owner_mark.make(
        tmp_path / ".out.supervised-by", mark_of("other", "other", other.run_dir)
    )
    (tmp_path / "demo.yaml").write_text("name: demo\ncommand: [sleep, '1']\nrun_dir: runs/demo\n")
    checked = command("check", "demo.yaml", "--json")
    owners = [one for one in json.loads(checked.stdout) if one["what"] == "owner"]
    assert [one["level"] for one in owners] == ["ok", "fail"]
    assert str(out) in owners[1]["text"]
    started = command("run", "demo.yaml")
    assert started.returncode == 78
    assert "the run 'other'" in started.stderr


def resuming(command: "Command") -> dict[str, str]:
    """What `check` of the only run says of the resume."""
    done = command("check", "--json")
    (found,) = [one for one in json.loads(done.stdout) if one["what"] == "resume"]
    return dict(found)


def test_check_no_longer_asks_how_to_resume(
    command: "Command", fake_run: "FakeRun", tmp_path: Path
) -> None:
    """Once an adapter has begun, or for a script that it is for, nothing is left to write."""
    config = fake_run.run_dir / "config.yaml"
    config.write_text(f"name: demo\ncommand: [python3, t.py]\nrun_dir: {fake_run.run_dir}\n")
    (tmp_path / "t.py").write_text("import torch\n")
    assert resuming(command)["level"] == "warn"
    (tmp_path / "t.py").write_text("from transformers import Trainer\nTrainer(None).train()\n")
    assert resuming(command)["text"].startswith("the adapter resumes transformers' Trainer")
    (tmp_path / "t.py").write_text("import torch\n")
    described(fake_run, str(tmp_path / "out"))
    assert (
        resuming(command)["text"] == "the adapter for huggingface 5.24 resumes from the checkpoint"
    )


def test_check_tells_an_old_reason_as_one(
    command: "Command", fake_run: "FakeRun", tmp_path: Path
) -> None:
    """A held run waits for `resume`; what it was held for may be mended by now."""
    config = fake_run.run_dir / "config.yaml"
    config.write_text(f"name: demo\ncommand: [sleep, '1']\nrun_dir: {fake_run.run_dir}\n")
    fake_run.create()
    fake_run.record(
        {"type": "attempt_started", "attempt": 1, "pid": 1},
        {"type": "decision", "state": "held", "failure": "configuration", "action": "hold",
         "reason": "add `resume: {args: …}`"},
    )  # fmt: skip
    found = json.loads(command("check", "--json").stdout)
    (record,) = [one for one in found if one["what"] == "record"]
    assert record["text"].startswith("held, and waits for `supervisor resume`: add `resume")
    assert record["do"] == "if that is mended: supervisor resume runs/demo"


def test_what_was_told_of_a_kill_is_shown(command: "Command", fake_run: "FakeRun") -> None:
    """By `check`, `events` and the history of the run."""
    config = fake_run.run_dir / "config.yaml"
    config.write_text(f"name: demo\ncommand: [sleep, '1']\nrun_dir: {fake_run.run_dir}\n")
    described(fake_run, "/out")
    fake_run.record(
        {"type": "recovery", "attempt": 1, "about": "x", "sentences": ["it saves", "a kill"]},
        {"type": "interval_hint", "attempt": 1, "interval_s": 9.0, "best_s": 90.0, "save_s": 3.0,
         "failure_s": 900.0, "sentence": "it saves every 9 s; better"},
    )  # fmt: skip
    told = " ".join(command("events").stdout.split())
    assert "It saves. A kill." in told
    assert "It saves every 9 s; better." in told
    checked = json.loads(command("check", "--json").stdout)
    (found,) = [one for one in checked if one["what"] == "recovery"]
    assert found["text"] == "it saves. a kill (as seen in attempts before)"
