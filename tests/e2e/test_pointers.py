"""Trainers that find their newest checkpoint by their own pointer, after it was set aside."""

import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Supervised

# Lays out its checkpoints as TOOL does, and follows TOOL's pointer. At step 25 of its first attempt
# it tears its newest checkpoint, or all (TEAR), and dies.
SCRIPT = """
import os, sys, time, zipfile
tool, tear = os.environ["TOOL"], os.environ["TEAR"]
os.makedirs("ckpt", exist_ok=True)
name = {"deepspeed": "global_step%d", "megatron": "iter_%07d", "link": "step-%d.pt",
        "mmengine": "iter_%d.pth"}[tool]
pointer = "ckpt/" + {"deepspeed": "latest", "megatron": "latest_checkpointed_iteration.txt",
                     "link": "latest.pt", "mmengine": "last_checkpoint"}[tool]
is_file = tool in ("link", "mmengine")
weights = lambda step: "ckpt/" + name % step + ("" if is_file else "/mp_rank_00_model_states.pt")

def point(step):
    if tool == "link":
        if os.path.islink(pointer): os.unlink(pointer)
        return os.symlink(name % step, pointer)
    said = {"deepspeed": name % step, "megatron": str(step), "mmengine": "ckpt/" + name % step}
    open(pointer, "w").write(said[tool])

def follow():
    if tool == "link": return pointer
    said = open(pointer).read()
    if tool == "megatron": return weights(int(said))
    return said if tool == "mmengine" else f"ckpt/{said}/mp_rank_00_model_states.pt"

start = 0
if os.path.lexists(pointer):
    with zipfile.ZipFile(follow()) as archive: start = int(archive.read("step"))
print("starting from", start, flush=True)
for step in range(start + 1, 41):
    time.sleep(0.02); print("step", step, flush=True)
    if step % 10 == 0:
        if not is_file: os.makedirs("ckpt/" + name % step, exist_ok=True)
        with zipfile.ZipFile(weights(step), "w") as archive:
            for name_of, data in (("step", str(step)), ("data", bytes(3000))):
                archive.writestr(zipfile.ZipInfo(name_of), data)  # the same bytes each time
        point(step)
    if step == 25 and not os.path.exists("crashed"):
        open("crashed", "w")
        for torn in {"newest": (20,), "all": (10, 20)}[tear]: os.truncate(weights(torn), 2000)
        os.kill(os.getpid(), 9)
"""
POINTERS = {
    "deepspeed": ("latest", "global_step20", "global_step10"),
    "megatron": ("latest_checkpointed_iteration.txt", "20", "10"),
    "link": ("latest.pt", "step-20.pt", "step-10.pt"),
    "mmengine": ("last_checkpoint", "ckpt/iter_20.pth", "ckpt/iter_10.pth"),
}


def configure(run: Supervised, tool: str, tear: str = "newest", **more: Any) -> None:
    """Configure a run whose trainer finds its checkpoint itself."""
    (run.folder / "t.py").write_text(SCRIPT)
    run.configure(
        command=[sys.executable, "t.py"],
        checkpoints={"directory": "ckpt"},
        env={"TOOL": tool, "TEAR": tear},
        **{"resume": {"by": "trainer"}, **more},
    )


@pytest.mark.parametrize("tool", POINTERS)
def test_a_torn_newest(run: Supervised, tool: str) -> None:
    """The next attempt follows the pointer to the previous checkpoint; we leave no file there."""
    configure(run, tool)
    assert run.run() == 0
    starts = [line for line in run.log.splitlines() if line.startswith("starting")]
    assert starts == ["starting from 0", "starting from 10"]
    name, was, to = POINTERS[tool]
    (entry,) = run.entries("pointer_set")
    assert (entry["path"], entry["from"], entry["to"]) == (str(run.folder / "ckpt" / name), was, to)
    assert f"{name} named {was}, which is set aside: the pointer names {to} now" in run.text
    assert not [path for path in (run.folder / "ckpt").iterdir() if path.name.startswith(".")]
    aside = run.paths.set_aside / "invalid"
    (moved,) = run.entries("checkpoint_removed")
    assert Path(moved["to"]).parent == aside
    assert str(aside) in run.text
    told = run.command("events").stdout
    assert f"pointer {name} names" in " ".join(told.split())
    assert "set aside" in run.command("checkpoints").stdout


@pytest.mark.parametrize("tool", POINTERS)
def test_none_is_valid(run: Supervised, tool: str) -> None:
    """With `fresh` the trainer starts anew: its pointer is set aside, and kept."""
    configure(run, tool, "all", resume={"by": "trainer", "if_none_valid": "fresh"})
    assert run.run() == 0
    starts = [line for line in run.log.splitlines() if line.startswith("starting")]
    assert starts == ["starting from 0", "starting from 0"]
    (entry,) = run.entries("pointer_set")
    name, was, _ = POINTERS[tool]
    assert (entry["from"], entry["to"]) == (was, None)
    assert os.path.lexists(entry["place"])
    assert Path(entry["place"]) == run.paths.set_aside / "invalid" / name
    assert "was set aside with" in " ".join(run.command("events").stdout.split())


def test_a_death_between_the_move_and_the_pointer(run: Supervised) -> None:
    """The next launch corrects the pointer that a dead daemon left, though it moves nothing."""
    configure(run, "deepspeed", restart={"backoff": "0.1s", "max_failures": 1})
    saves = run.folder / "ckpt"
    shelf = run.paths.set_aside / "superseded"
    for folder in (saves / "global_step10", shelf / "global_step20"):
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / "mp_rank_00_model_states.pt", "w") as archive:
            archive.writestr("step", folder.name.removeprefix("global_step"))
    run.paths.state_dir.chmod(0o700)
    (saves / "latest").write_text("global_step20")
    (run.folder / "crashed").touch()
    configure(run, "deepspeed", resume={"by": "trainer", "existing": "use"})
    assert run.run() == 0
    assert run.log.splitlines()[0] == "starting from 10"
    assert run.entries("checkpoint_removed") == []
    assert [entry["to"] for entry in run.entries("pointer_set")] == ["global_step10"]
