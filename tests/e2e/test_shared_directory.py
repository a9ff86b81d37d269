"""Two runs with one checkpoint directory: one owns it, and the other is told which run that is."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Supervised

# Saves as foreign trainers do: it renames a finished directory to its name, without a manifest.
TRAINER = """
import os, sys, time
tag, out, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
start = int(sys.argv[5].rpartition("-")[2]) if len(sys.argv) > 5 else 0
for step in range(start + 1, last + 1):
    time.sleep(0.05)
    print("step", step, flush=True)
    home = os.path.dirname(os.path.realpath(out))
    if step % 10 == 0 and os.path.isdir(home) and not os.path.exists(f"{out}/checkpoint-{step}"):
        os.makedirs(os.path.realpath(out), exist_ok=True)
        stage = f"{home}/{tag}-{os.getpid()}"
        os.makedirs(stage, exist_ok=True)  # what an earlier rename has left
        with open(f"{stage}/state.bin", "w") as file:
            file.write(f"{tag} {step}")
        try:
            os.rename(stage, f"{out}/checkpoint-{step}")
        except OSError:
            pass
"""


class Pair:
    """Two runs, each with a run directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "train.py").write_text(TRAINER)
        self.runs = []
        for tag in ("a", "b"):
            (folder / tag).mkdir()
            self.runs.append(Supervised(folder / tag))

    def configure(self, *directories: Path, last: int = 2000) -> None:
        """Configure both runs to save into one directory, or each into its own."""
        for run, tag, out in zip(self.runs, "ab", (directories * 2)[:2], strict=True):
            run.configure(
                name=f"run{tag.upper()}",
                command=[sys.executable, str(self.folder / "train.py"), tag, str(out), str(last)],
                checkpoints={"directory": str(out), "keep": 2},
                resume={"args": ["--resume", "{checkpoint}"]},
                watch={"progress": r"step (?P<step>\d+)"},
            )

    def close(self) -> None:
        """End both."""
        for run in self.runs:
            run.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two runs, `runA` and `runB`."""
    pair = Pair(tmp_path)
    yield pair
    pair.close()


def assert_names_both(text: str, pair: Pair) -> None:
    """The text names both runs and their directories."""
    for word in ("'runA'", "'runB'", *(str(run.run_dir) for run in pair.runs)):
        assert word in text


def test_two_that_begin_at_once(pair: Pair, tmp_path: Path) -> None:
    """One run trains undisturbed; the other starts no trainer, and exits 78 with the reason."""
    pair.configure(tmp_path / "out", last=40)
    for run in pair.runs:
        run.start("--plain")
    codes = [run.finish() for run in pair.runs]
    assert sorted(codes) == [0, 78]
    winner, loser = pair.runs if codes[0] == 0 else reversed(pair.runs)
    assert_names_both(loser.text, pair)
    assert len(winner.entries("attempt_started")) == 1
    assert loser.entries("attempt_started") == []
    saved = {path.read_text().split()[0] for path in tmp_path.glob("out/*/state.bin")}
    assert saved == {"a" if winner is pair.runs[0] else "b"}
    mark = json.loads((tmp_path / ".out.supervised-by").read_text())
    assert mark["run_dir"] == str(winner.run_dir)


@pytest.mark.parametrize("shape", ["same", "link", "link above"])
def test_one_that_comes_later(pair: Pair, tmp_path: Path, shape: str) -> None:
    """The second run exits 78, by whatever path it comes, also while the owner does not run."""
    (tmp_path / "disk").mkdir()
    out, other = tmp_path / "disk" / "out", tmp_path / "disk" / "out"
    if shape == "link":
        other = tmp_path / "link"
        other.symlink_to(out)
    elif shape == "link above":
        (tmp_path / "scratch").symlink_to(tmp_path / "disk")
        other = tmp_path / "scratch" / "out"
    pair.configure(out, other)
    first, second = pair.runs
    first.start("--plain")
    first.wait(lambda: len(list(out.glob("checkpoint-*"))) > 1)
    assert second.run() == 78
    assert_names_both(second.text, pair)
    assert first.process is not None
    first.process.send_signal(signal.SIGTERM)
    assert first.finish() == 75
    assert second.run("--take-over") == 78
    assert not second.paths.state_dir.exists()


def test_a_parent_that_comes_late(pair: Pair, tmp_path: Path) -> None:
    """Both train when the directory's parent appears: one owns it, the other is told twice.

    The other prunes nothing there, and its next launch is refused.
    """
    link = tmp_path / "out"
    link.symlink_to(tmp_path / "disk" / "out")
    pair.configure(link)
    for run in pair.runs:
        run.start("--plain")
    for run in pair.runs:
        run.wait(lambda run=run: run.status.get("state") == "running" and run.status.get("step"))
    assert [w for run in pair.runs for w in run.status["warnings"] if "saves there" in w] == []
    (tmp_path / "disk").mkdir()
    mark = tmp_path / "disk" / ".out.supervised-by"
    pair.runs[0].wait(mark.exists)
    home = json.loads(mark.read_text())["run_dir"]
    winner, loser = sorted(pair.runs, key=lambda run: str(run.run_dir) != home)
    loser.wait(lambda: any("saves there" in w for w in loser.status["warnings"]))
    assert_names_both(loser.text, pair)
    assert "refuses the next launch" in loser.text
    winner.wait(lambda: [e for e in winner.entries("checkpoint_removed") if e["why"] == "pruned"])
    os.kill(loser.status["pids"]["trainer"], signal.SIGKILL)
    assert loser.finish() == 78
    assert loser.status["state"] == "held"
    assert [e for e in loser.entries("checkpoint_removed") if e["why"] != "gone"] == []
    assert len(loser.entries("attempt_started")) == 1
    assert not any("saves there" in w for w in winner.status["warnings"])
    assert winner.status["attempt"] == 1


def test_a_run_directory_that_was_moved(pair: Pair, tmp_path: Path) -> None:
    """The run goes on with its checkpoints, and its mark names its new place."""
    out = tmp_path / "out"
    pair.configure(out)
    run = pair.runs[0]
    run.start()
    run.wait(lambda: (out / "checkpoint-20").exists())
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    moved = tmp_path / "moved"
    shutil.move(run.run_dir, moved)
    config = run.config.read_text().replace(str(run.run_dir), str(moved))
    config = config.replace("- '2000'", "- '45'")
    run.config.write_text(config)
    assert run.run() == 0, run.text
    mark = json.loads((tmp_path / ".out.supervised-by").read_text())
    assert mark["run_dir"] == str(moved)


@pytest.mark.parametrize("how", ["damaged", "removed"])
def test_a_mark_that_is_spoilt_while_it_trains(pair: Pair, tmp_path: Path, how: str) -> None:
    """A spoilt mark does not hold the directory's owner: the next launch makes it anew."""
    pair.configure(tmp_path / "out")
    run = pair.runs[0]
    run.start()
    run.wait_step(3)
    mark = tmp_path / ".out.supervised-by"
    before = mark.read_text()
    if how == "damaged":
        mark.write_text("{")
    else:
        mark.unlink()
    os.kill(run.status["pids"]["trainer"], signal.SIGKILL)
    run.wait(lambda: run.status.get("attempt") == 2 and run.status.get("state") == "running")
    assert json.loads(mark.read_text())["run_id"] == json.loads(before)["run_id"]


def test_a_checkpoint_that_another_wrote(pair: Pair, tmp_path: Path) -> None:
    """A checkpoint ahead of every seen step: the run resumes from it, and reports the doubt."""
    out = tmp_path / "out"
    pair.configure(out)
    run = pair.runs[0]
    run.start("--plain")
    run.wait(lambda: (out / "checkpoint-20").exists())
    # Like a tool without our mark: a second training by hand, for example.
    shutil.copytree(out / "checkpoint-20", out / "checkpoint-900")
    shutil.copytree(out / "checkpoint-20", out / "checkpoint-890")
    run.wait(lambda: any(e["step"] == 900 and e["valid"] for e in run.entries("checkpoint")))
    os.kill(run.status["pids"]["trainer"], signal.SIGKILL)
    run.wait(lambda: run.status.get("attempt") == 2 and run.status.get("state") == "running")
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == 900
    said = "checkpoint-900 (step 900) is ahead of the highest step that this run has shown"
    assert said in run.text
    assert any(said in warning for warning in run.status["warnings"])


def test_what_is_taken_over_is_put_in_order_first(pair: Pair) -> None:
    """A finished run's torn newest is set aside and its pointer corrected before the launch."""
    out = pair.folder / "out"
    pair.configure(out, last=35)
    a, b = pair.runs
    assert a.run() == 0
    (out / "checkpoint-30" / "state.bin").write_bytes(b"")
    (out / "latest").write_text("checkpoint-30")
    pair.configure(out, last=60)
    body = b.config.read_text().replace("resume:\n", "resume:\n  existing: use\n")
    b.config.write_text(body)
    assert b.run() == 0, b.text
    assert b.entries("attempt_started")[0]["checkpoint"]["step"] == 20
    assert "checkpoint-30 is set aside (invalid)" in b.text
    assert (out / "latest").read_text() == "checkpoint-20"
