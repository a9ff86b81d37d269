"""A trainer that saves into a new folder below the checkpoint directory at each start."""

import sys
from pathlib import Path

from tests.e2e.conftest import Supervised

# Lightning's folders: `lightning_logs/version_K/checkpoints/`, with a link to the newest. Killed at
# step 45 of the first attempt; its newest save is cut off then.
TRAINER = """
import os, signal, sys, time, zipfile
begin = 0
if "--ckpt_path" in sys.argv:
    begin = int(sys.argv[sys.argv.index("--ckpt_path") + 1].split("step=")[1].split(".")[0])
number = 0
while os.path.isdir(f"logs/version_{number}"): number += 1
folder = f"logs/version_{number}/checkpoints"
os.makedirs(folder)
for step in range(begin + 1, 81):
    time.sleep(0.05)
    print("step", step, flush=True)
    if step % 10 == 0:
        name = f"epoch=0-step={step}.ckpt"
        with zipfile.ZipFile(f"{folder}/{name}", "w") as archive:
            archive.writestr("a/data.pkl", b"N.")
            archive.writestr("a/data/0", bytes(3000))
        if os.path.lexists(f"{folder}/last.ckpt"): os.unlink(f"{folder}/last.ckpt")
        os.symlink(name, f"{folder}/last.ckpt")
    if step == 45 and number == 0:
        os.truncate(f"{folder}/epoch=0-step=40.ckpt", 900)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_goes_on_from_the_folder_of_an_earlier_start(run: Supervised) -> None:
    """The run goes on from its newest whole save; the torn one is set aside, the link is right."""
    script = run.folder / "t.py"
    script.write_text(TRAINER)
    run.configure(
        command=[sys.executable, str(script)],
        checkpoints={"directory": str(run.folder)},
        resume={"args": ["--ckpt_path", "{checkpoint}"]},
        watch={"progress": r"step (?P<step>\d+)"},
    )
    assert run.run() == 0
    started = run.entries("attempt_started")
    first = run.folder / "logs/version_0/checkpoints"
    assert [one["checkpoint"] and Path(one["checkpoint"]["path"]) for one in started] == [
        None,
        first / "epoch=0-step=30.ckpt",
    ]
    assert (first / "last.ckpt").readlink() == Path("epoch=0-step=30.ckpt")
    assert not (first / "epoch=0-step=40.ckpt").exists()
    listed = run.raw("checkpoints", str(run.run_dir)).stdout
    assert "logs/version_1/checkpoints/epoch=0-step=80.ckpt" in listed
    assert "epoch=0-step=40.ckpt" in listed
    assert "set aside" in listed
