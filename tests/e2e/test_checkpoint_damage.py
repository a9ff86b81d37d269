"""A damaged newest checkpoint is passed over for the next; with none valid the run is held."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Supervised, uninterrupted


def damage(path: Path, how: str) -> None:
    """Damage one file."""
    data = path.read_bytes()
    match how:
        case "truncate":
            path.write_bytes(data[: len(data) // 2])
        case "flip":
            middle = len(data) // 2
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :])
        case "empty":
            path.write_bytes(b"")
        case "delete":
            path.unlink()


def stopped_at_two_checkpoints(run: Supervised) -> None:
    """A run that was stopped with checkpoints 10 and 20 on disk."""
    run.configure(env={"FAULTS": '{"1": [25, "exit78"]}'})
    assert run.run() == 1
    assert (run.run_dir / "checkpoint-20").is_dir()
    run.command("resume")
    run.configure()


# tests/checkpoint/test_validate.py shows that damage to any file is found.
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("model.pt", "flip"),
        ("training_state.json", "truncate"),
        ("training_state.json", "delete"),
        ("manifest.json", "empty"),
        ("manifest.json", "delete"),
    ],
)
def test_damaged_newest_is_passed_over(run: Supervised, name: str, how: str) -> None:
    """The damaged checkpoint is set aside with the reason, and the run resumes from the next."""
    stopped_at_two_checkpoints(run)
    damage(run.run_dir / "checkpoint-20" / name, how)
    assert run.run() == 0
    assert run.entries("attempt_started")[-1]["checkpoint"]["step"] == 10
    aside = run.paths.set_aside / "invalid"
    assert (aside / "checkpoint-20").is_dir()
    assert (aside / "checkpoint-20.reason.txt").read_text().strip()
    assert run.weight() == uninterrupted()


@pytest.mark.parametrize("policy", ["hold", "fresh"])
def test_none_valid(run: Supervised, policy: str) -> None:
    """With no valid checkpoint the run starts from nothing only if the configuration says so."""
    stopped_at_two_checkpoints(run)
    for number in (10, 20):
        damage(run.run_dir / f"checkpoint-{number}" / "model.pt", "flip")
    run.configure(resume={"if_none_valid": policy})
    code = run.run()
    if policy == "hold":
        assert code == 1
        assert (run.run_dir / "checkpoint-20").is_dir()
        assert len(run.entries("attempt_started")) == 1
        assert "none is valid" in run.text
    else:
        assert code == 0
        assert run.entries("attempt_started")[-1]["checkpoint"] is None
        assert run.weight() == uninterrupted()


def test_same_death_twice_resumes_further_back_and_holds_at_three(run: Supervised) -> None:
    """The second equal death goes back one checkpoint; the third holds the run."""
    run.configure(env={"FAULTS": '{"*": [25, "raise"]}'})
    assert run.run() == 1
    steps = [e["checkpoint"] and e["checkpoint"]["step"] for e in run.entries("attempt_started")]
    assert steps == [None, 20, 10]
    assert (run.paths.set_aside / "superseded" / "checkpoint-20").is_dir()
    assert "3 times" in run.status["reason"]


def test_keep_and_pins(run: Supervised) -> None:
    """The `keep` newest checkpoints stay; a pinned one stays, too."""
    run.configure(
        env={"STEPS": "80", "SAVE_EVERY": "5", "FAULTS": '{"1": [22, "exit78"]}'},
        checkpoints={"keep": 2},
    )
    assert run.run() == 1
    pinned = run.raw("checkpoints", "pin", str(run.run_dir / "checkpoint-20"))
    assert pinned.returncode == 0, pinned.stderr
    run.command("resume")
    run.configure(env={"STEPS": "80", "SAVE_EVERY": "5"}, checkpoints={"keep": 2})
    assert run.run() == 0
    kept = {"checkpoint-20", "checkpoint-75", "checkpoint-80"}
    # A slow removal goes on after the daemon's end.
    run.wait(lambda: {path.name for path in run.run_dir.glob("checkpoint-*")} <= kept)
    assert {path.name for path in run.run_dir.glob("checkpoint-*")} == kept


def test_existing_checkpoints_have_to_be_decided(run: Supervised, tmp_path: Path) -> None:
    """Checkpoints of another run exit 78 with both choices; `use` resumes from them."""
    stopped_at_two_checkpoints(run)
    foreign = tmp_path / "foreign"
    (run.run_dir / "checkpoint-20").rename(foreign)
    other = Supervised(tmp_path / "other") if (tmp_path / "other").mkdir() is None else run
    (other.run_dir).mkdir()
    foreign.rename(other.run_dir / "checkpoint-20")
    assert other.run() == 78
    assert "existing: use" in other.text
    assert "existing: ignore" in other.text
    assert not other.paths.ledger.exists()
    other.configure(resume={"existing": "use"})
    assert other.run() == 0
    assert other.entries("attempt_started")[0]["checkpoint"]["step"] == 20
    assert other.weight() == uninterrupted()


def test_a_moved_run_directory_has_its_checkpoints_with_it(run: Supervised) -> None:
    """Listing and export use the directory's present place."""
    assert run.run() == 0
    moved = run.folder / "elsewhere"
    run.run_dir.rename(moved)
    listed = json.loads(run.raw("checkpoints", "--json", str(moved)).stdout)
    assert listed[0]["path"] == str(moved / "checkpoint-40")
    copied = run.raw("checkpoints", "export", "checkpoint-40", str(run.folder / "copy"))
    assert copied.returncode == 0, copied.stderr
    assert (run.folder / "copy" / "manifest.json").is_file()
