"""What `run` tells of a training once it trains: what a kill would cost, and how a stop goes."""

import signal
import sys
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Supervised

SAYING = Path(__file__).with_name("saying.py")
# It imports nothing of ours, and has no handler of SIGTERM.
PLAIN = """
import os, time
for step in range(1, 10_000):
    print(f"step {step} loss 0.5", flush=True)
    time.sleep(0.05)
    if step % 60 == 0 and os.environ.get("SAVES"):
        with open(f"run/new.tmp", "wb") as file:
            import zipfile
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("a/data.pkl", b"N.")
        os.rename("run/new.tmp", f"run/checkpoint-{step}.pt")
"""


def paragraphs(run: Supervised) -> list[dict[str, Any]]:
    """The entries that tell what a kill would cost."""
    return run.entries("recovery")


def test_a_trainer_that_says_how_often_it_saves(run: Supervised) -> None:
    """It is told once a run, with times; `status`, `events` and the terminal show it."""
    env = {"SAVE_EVERY": 50, "KILL_AT": 80}
    run.configure(command=[sys.executable, str(SAYING)], env=env)
    process = run.start()
    run.wait(lambda: paragraphs(run))
    run.wait(lambda: run.status.get("recovery"))
    assert run.status["recovery"][0].startswith(
        "huggingface 5.24.0 saves into out every 50 steps (about every "
    )
    run.wait(lambda: run.status.get("attempt") == 2 and (run.status.get("step") or 0) > 130)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    (told,) = paragraphs(run)
    assert told["attempt"] == 1
    assert "A resume does not restore: the order of its jokes" in told["sentences"]
    assert "saves at the step" in told["sentences"][-1]
    shown = " ".join(run.text.split())
    assert f"recovery: {told['sentences'][0]}. A kill loses up to " in shown
    assert "the order of its jokes" in " ".join(run.command("events").stdout.split())
    # A training of seconds is not told that it saves too often; `status` has the figures.
    assert run.entries("interval_hint") == []
    figures = run.status["save_interval"]
    assert 0.3 <= figures["save_s"] < figures["present_s"] < figures["best_s"]
    found = run.raw("check", str(run.config)).stdout
    assert "as seen in attempts before" in " ".join(found.split())


def test_a_script_that_dies_of_a_stop(run: Supervised) -> None:
    """Of a script without a handler it is told that a stop saves nothing."""
    (run.folder / "train.py").write_text(PLAIN)
    run.configure(command=[sys.executable, "train.py"])
    process = run.start()
    (told,) = run.wait(lambda: paragraphs(run))
    assert told["sentences"] == [
        "where and how often the trainer saves is not known before its first save",
        "A kill loses everything since the start, as long as none is seen",
        "It is not known whether a resume restores the order of its data",
        "A stop (Ctrl-C, SIGTERM) ends it at once: it gets SIGTERM and saves nothing",
    ]
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert "nothing was saved where the supervisor looks" in run.text


def test_an_interval_that_was_seen_is_told_once(run: Supervised) -> None:
    """After three saves it is known how often it saves, and that is told."""
    run.run_dir.mkdir()
    (run.folder / "train.py").write_text(PLAIN)
    run.configure(command=[sys.executable, "train.py"], env={"SAVES": 1})
    process = run.start()
    told = run.wait(lambda: paragraphs(run) if len(paragraphs(run)) == 2 else None)
    assert told[1]["sentences"][0].startswith("the trainer saves into run about every ")
    assert told[1]["sentences"][0].endswith(" as seen so far")
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
