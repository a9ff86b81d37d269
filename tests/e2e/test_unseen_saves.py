"""A trainer that saves outside the watched directory: a warning; a hold before a fresh start."""

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from supervisor.rundir.lock import is_held
from tests.e2e.conftest import Supervised

# Saves at each tenth step as KIND, PLACE and NAME say; killed at step 45 of each attempt.
TRAINER = """
import os, signal, sys, time, zipfile
place, attempt = os.environ["PLACE"], os.environ["SUPERVISOR_ATTEMPT"]
place = place.replace("{attempt}", attempt)
PRINT = os.environ.get("PRINT", "step {}")
def save(path):
    if os.environ["KIND"] == "directory":
        os.makedirs(path); path += "/state.bin"
    with zipfile.ZipFile(path, "w") as archive: archive.writestr("a/data.pkl", b"N.")
if os.environ.get("DOWNLOADS"):
    for number in range(2): save(f"{os.environ['DOWNLOADS']}/model_{number}.pt"); time.sleep(0.2)
for step in range(1, 61):
    time.sleep(0.05)
    print(PRINT.format(step), flush=True)
    if step % 10 == 0 and os.environ["KIND"] != "none":
        os.makedirs(place, exist_ok=True)
        save(f"{place}/" + os.environ["NAME"].format(step))
    if step == 45: os.kill(os.getpid(), signal.SIGKILL)
"""


def configure(run: Supervised, *words: str, name: str, **more: Any) -> None:
    """Configure a run of that trainer; `words` are its arguments."""
    script = run.folder / "t.py"
    script.write_text(TRAINER)
    env = {"KIND": "file", "NAME": name, **more.pop("env")}
    run.configure(
        command=[sys.executable, str(script), *words], env=env,
        **{
            "resume": {"args": ["--resume", "{checkpoint}"]},
            "watch": {"progress": r"step (?P<step>\d+)"},
            **more,
        },
    )  # fmt: skip


def test_named_by_an_argument(run: Supervised) -> None:
    """Saves in `--output_dir out` hold the run; with the named line in the file it resumes."""
    out = run.folder / "out"
    configure(
        run, "--output_dir", "out", name="checkpoint-{}", env={"PLACE": out, "KIND": "directory"}
    )
    assert run.run() == 1
    assert len(run.entries("attempt_started")) == 1
    assert run.status["failure"] == "checkpoints_unseen"
    assert "write `checkpoints: {directory: out}`" in run.status["reason"]
    checked = run.raw("check", str(run.config))
    assert checked.returncode == 78
    assert "{directory: out}" in " ".join(checked.stdout.split())
    run.command("resume")
    configure(
        run, "--output_dir", "out", name="again-{}", checkpoints={"directory": "out"},
        env={"PLACE": run.folder / "x", "KIND": "none"},
    )  # fmt: skip
    run.start()
    run.wait(lambda: len(run.entries("attempt_started")) == 2)
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == 40
    run.command("stop")
    run.finish()


def test_two_causes_are_said_at_once(run: Supervised) -> None:
    """A script as it stands saves elsewhere and is not told to resume: one hold names both lines.

    With both lines in the file the next attempt begins at its checkpoint.
    """
    configure(run, name="ckpt_{}.pt", env={"PLACE": run.folder / "out"}, resume={})
    assert run.run() == 1
    reason = run.status["reason"]
    found = re.search(r"write `(?P<line>checkpoints: .*?})`;", reason)
    assert found is not None, reason
    assert '`resume: {args: [--resume, "{checkpoint}"]}`' in reason
    run.command("resume")
    lines = yaml.safe_load(found["line"])
    configure(run, name="again-{}", **lines, env={"PLACE": run.folder / "x", "KIND": "none"})
    run.start()
    run.wait(lambda: len(run.entries("attempt_started")) == 2)
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == 40
    run.command("stop")
    run.finish()


@pytest.mark.parametrize(
    ("place", "name", "line"),
    [
        ("run", "weights-{}.bin", r"pattern: 'weights-(?P<step>\d+)\.bin'"),
        (
            "lightning_logs/version_{attempt}/checkpoints",
            "epoch=0-step={}.ckpt",
            "directory: lightning_logs}",
        ),
        ("deep/er/models", "model_{}.pth", "directory: deep/er/models"),
    ],
)
def test_below_the_working_directory(run: Supervised, place: str, name: str, line: str) -> None:
    """Unknown names in the directory, Lightning's new directories and deep ones are found."""
    configure(run, name=name, env={"PLACE": run.folder / place})
    assert run.run() == 1
    assert len(run.entries("attempt_started")) == 1
    assert line in run.status["reason"]


def test_one_file_written_again_and_again(run: Supervised) -> None:
    """A warning comes once nanoGPT's `out/ckpt.pt` is seen to be written again."""
    configure(run, "--out_dir=out", name="ckpt.pt", env={"PLACE": run.folder / "out"})
    text = run.folder / "t.py"
    text.write_text(text.read_text().replace("range(1, 61)", "range(1, 10**6)").replace("45", "-1"))
    run.start()
    run.wait(lambda: [w for w in run.status.get("warnings", ()) if "directory: out" in w])
    run.command("stop")
    assert run.finish() == 75


def test_one_file_where_steps_are_only_printed(run: Supervised) -> None:
    """Killed before anybody saw `ckpt.pt` twice, nanoGPT is held: it would write over its save."""
    configure(
        run, name="ckpt.pt", watch={},
        env={"PLACE": run.folder / "out", "PRINT": "iter {}: loss 2.5000, time 50.00ms"},
    )  # fmt: skip
    assert run.run() == 1
    assert len(run.entries("attempt_started")) == 1
    assert run.status["failure"] == "checkpoints_unseen"
    assert "write `checkpoints: {directory: out}`" in run.status["reason"]


def test_where_no_steps_are_seen(run: Supervised) -> None:
    """A numbered series that grows is evidence enough, without steps."""
    out = run.folder / "results"
    configure(run, name="checkpoint-{}.pt", env={"PLACE": out, "PRINT": "working"}, watch={})
    assert run.run() == 1
    assert "results" in run.status["reason"]


def test_a_warning_while_it_runs(run: Supervised) -> None:
    """The warning is in `status`, and once on the terminal with the line to write."""
    out = run.folder / "out"
    configure(run, "--output_dir", "out", name="checkpoint-{}.pt", env={"PLACE": out})
    text = run.folder / "t.py"
    text.write_text(text.read_text().replace("range(1, 61)", "range(1, 10**6)").replace("45", "-1"))
    run.start()
    said = run.wait(lambda: [w for w in run.status.get("warnings", ()) if "directory: out" in w])
    assert len(said) == 1
    assert run.text.count("`checkpoints: {directory: out}`") == 1
    assert "The supervisor sees no checkpoints" in run.command("events").stdout
    run.command("stop")
    assert run.finish() == 75


def fresh_starts(run: Supervised) -> list[Any]:
    """The checkpoint that each attempt began from."""
    return [entry["checkpoint"] for entry in run.entries("attempt_started")]


@pytest.mark.parametrize("kind", ["nothing", "downloads", "cache", "another run's"])
def test_what_is_no_save_holds_nothing(run: Supervised, kind: str) -> None:
    """A death before the first save starts anew: downloads and others' files hold nothing."""
    env: dict[str, object] = {"PLACE": run.folder / "out", "KIND": "none"}
    if kind == "downloads":
        (run.folder / "models").mkdir()
        env["DOWNLOADS"] = run.folder / "models"
    if kind == "cache":
        env |= {"KIND": "file", "PLACE": run.folder / ".cache" / "hub"}
    if kind == "another run's":
        other = run.folder / "other"
        (other / ".supervisor").mkdir(parents=True)
        env |= {"KIND": "file", "PLACE": other}
    configure(run, name="model_{}.pt", env=env, restart={"backoff": "0.1s", "max_failures": 2})
    assert run.run() == 1
    assert fresh_starts(run) == [None, None]
    assert "failures without" in run.status["reason"]


def test_trainers_that_find_them_are_not_asked(run: Supervised) -> None:
    """`resume: {by: trainer}` brings no hold and no warning."""
    (run.folder / "t.py").write_text(TRAINER)
    run.configure(
        command=[sys.executable, str(run.folder / "t.py")], resume={"by": "trainer"},
        restart={"backoff": "0.1s", "max_failures": 2}, watch={"progress": r"step (?P<step>\d+)"},
        env={"KIND": "file", "NAME": "checkpoint-{}.pt", "PLACE": run.folder / "o"},
    )  # fmt: skip
    assert run.run() == 1
    assert fresh_starts(run) == [None, None]
    assert "failures without" in run.status["reason"]
    assert "checkpoints:" not in run.text


def test_from_nothing_all_the_same(run: Supervised) -> None:
    """The option starts anew once; the next death is held again."""
    out = Path(run.folder / "out")
    configure(run, "--output_dir", "out", name="checkpoint-{}.pt", env={"PLACE": out})
    assert run.run() == 1
    for path in out.iterdir():
        path.unlink()
    assert run.run("--from-nothing") == 1
    assert fresh_starts(run) == [None, None]
    assert run.status["failure"] == "checkpoints_unseen"


def test_seen_by_nobody_before_all_was_killed(run: Supervised) -> None:
    """Supervisor and trainer die together between two looks: the next run searches, and is held."""
    out = run.folder / "models"
    configure(run, name="model_{}.pt", env={"PLACE": out})
    text = run.folder / "t.py"
    text.write_text(text.read_text().replace("range(1, 61)", "range(1, 10**6)").replace("45", "-1"))
    run.start()
    run.wait(lambda: (out / "model_20.pt").exists())
    pids = run.status["pids"]
    for who in ("launcher", "daemon", "trainer"):
        os.kill(pids[who], signal.SIGKILL)
    assert run.process is not None
    run.process.wait()
    run.wait(lambda: not run.strays() and not is_held(run.paths))
    known = bool(run.entries("saves_elsewhere"))
    assert run.run() == 1
    assert run.status["failure"] == "checkpoints_unseen", known
    assert fresh_starts(run) == [None]
