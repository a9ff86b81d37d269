"""A run never starts from nothing over recorded checkpoints: it waits for them, or is held."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Supervised, uninterrupted


def stopped_over_checkpoints(run: Supervised) -> Path:
    """Stop a run after step 20 that saves into `out`; returns that directory."""
    out = run.folder / "out"
    run.configure(
        checkpoints={"directory": "out"}, env={"OUTPUT": out, "FAULTS": '{"1": [25, "exit78"]}'}
    )
    assert run.run() == 1
    assert (out / "checkpoint-20").is_dir()
    run.command("resume")
    run.configure(checkpoints={"directory": "out"}, env={"OUTPUT": out})
    return out


def scripted(run: Supervised, script: str, resume: dict[str, object]) -> Path:
    """Configure a trainer of a few lines that saves into `out`; returns that directory."""
    out = run.folder / "out"
    run.configure(
        command=[sys.executable, "-c", script],
        checkpoints={"directory": "out"},
        resume=resume,
        env={"OUTPUT": out},
    )
    return out


def held_over(run: Supervised) -> str:
    """Start the run, see it held, and return the reason; `check` reports the same."""
    checked = run.raw("check", str(run.config))
    assert checked.returncode == 78, checked.stdout
    assert "missing" in checked.stdout
    attempts = len(run.entries("attempt_started"))
    assert run.run() == 1
    assert len(run.entries("attempt_started")) == attempts
    assert run.status["failure"] == "checkpoints_missing"
    shown = run.command("status").stdout
    assert "--from-nothing" in shown
    return str(run.status["reason"])


def moved_away(out: Path) -> None:
    """Like a disk that is not mounted, in a run that does not know of the mount."""
    out.rename(out.with_name("away"))


def emptied(out: Path) -> None:
    """Leave the mount point alone."""
    moved_away(out)
    out.mkdir()


def linked(out: Path) -> None:
    """Move the checkpoints to a larger disk, and leave a link for each."""
    big = out.with_name("away")
    big.mkdir()
    for path in list(out.glob("checkpoint-*")):
        path.rename(big / path.name)
        path.symlink_to(big / path.name)


@pytest.mark.parametrize("lose", [moved_away, emptied, linked])
def test_lost_ones_are_held_and_come_back(run: Supervised, lose: Callable[[Path], None]) -> None:
    """The run is held with their names; once they are back it resumes, bit for bit."""
    out = stopped_over_checkpoints(run)
    lose(out)
    reason = held_over(run)
    assert "checkpoint-20 (step 20)" in reason
    again = run.run()
    assert again == 1  # held until an operator resumes
    if lose is linked:
        for path in list(out.glob("checkpoint-*")):
            path.unlink()
            (out.with_name("away") / path.name).rename(path)
    else:
        shutil.rmtree(out, ignore_errors=True)
        out.with_name("away").rename(out)
    run.command("resume")
    assert run.run() == 0
    assert run.entries("attempt_started")[-1]["checkpoint"]["step"] == 20
    assert float((out / "checkpoint-40" / "model.pt").read_text()) == uninterrupted()


def test_begin_again_all_the_same(run: Supervised) -> None:
    """`--from-nothing` needs no `resume` and counts for one launch; `fresh` does not replace it."""
    out = stopped_over_checkpoints(run)
    shutil.rmtree(out)
    resume = {"if_none_valid": "fresh"}
    run.configure(checkpoints={"directory": "out"}, resume=resume, env={"OUTPUT": out})
    held_over(run)
    faults = '{"2": [25, "exit78"]}'
    run.configure(checkpoints={"directory": "out"}, env={"OUTPUT": out, "FAULTS": faults})
    assert run.run("--from-nothing") == 1
    last = run.entries("attempt_started")[-1]
    assert (last["attempt"], last["checkpoint"]) == (2, None)
    assert "begin again" in run.command("events").stdout
    shutil.rmtree(out)
    run.command("resume")
    run.configure(checkpoints={"directory": "out"}, env={"OUTPUT": out})
    held_over(run)


def test_from_nothing_is_refused_over_a_valid_one(run: Supervised) -> None:
    """The option does not throw valid checkpoints away."""
    stopped_over_checkpoints(run)
    before = run.paths.ledger.read_bytes()
    assert run.run("--from-nothing") == 2
    assert "checkpoint-20: is valid" in run.text
    assert run.paths.ledger.read_bytes() == before


def test_another_working_directory(run: Supervised) -> None:
    """A relative directory means another place there: the run says where its checkpoints are."""
    out = stopped_over_checkpoints(run)
    (run.folder / "elsewhere").mkdir()
    home, run.folder = run.folder, run.folder / "elsewhere"
    reason = held_over(run)
    assert str(out) in reason
    assert str(run.folder / "out") in reason
    run.folder = home
    run.command("resume")
    assert run.run() == 0
    assert run.entries("attempt_started")[-1]["checkpoint"]["step"] == 20


def test_removed_by_the_trainer_itself_in_mid_run(run: Supervised) -> None:
    """A trainer that removes its output and dies is held; it does not start from nothing."""
    script = (
        "import os, shutil, sys, time\n"
        "out, attempt = os.environ['OUTPUT'], os.environ['SUPERVISOR_ATTEMPT']\n"
        "if attempt == '1':\n"
        "    os.makedirs(out + '/checkpoint-10')\n"
        "    open(out + '/checkpoint-10/w.bin', 'w').write('1')\n"
        "    sys.exit(3)\n"
        "shutil.rmtree(out); sys.exit(4)\n"
    )
    scripted(run, script, resume={"args": ["{checkpoint}"]})
    assert run.run() == 1
    assert [entry["code"] for entry in run.entries("attempt_ended")] == [3, 4]
    assert "checkpoint-10 (step 10)" in run.status["reason"]


def test_a_trainers_rotation_is_no_loss(run: Supervised) -> None:
    """Each save removes the previous one: the newest is there, and the run resumes from it."""
    script = (
        "import os, shutil, sys\n"
        "out, start = os.environ['OUTPUT'], int(sys.argv[1]) if len(sys.argv) > 1 else 0\n"
        "os.makedirs(out, exist_ok=True)\n"
        "for step in range(start + 10, start + 40, 10):\n"
        "    os.mkdir(f'{out}/checkpoint-{step}')\n"
        "    open(f'{out}/checkpoint-{step}/w.bin', 'w').write('1')\n"
        "    shutil.rmtree(f'{out}/checkpoint-{step - 10}', ignore_errors=True)\n"
        "sys.exit(0 if start else 3)\n"
    )
    scripted(run, script, resume={"args": ["{step}"]})
    assert run.run() == 0
    assert run.entries("attempt_started")[-1]["checkpoint"]["step"] == 30


def test_a_first_save_torn_by_a_kill_begins_again(run: Supervised) -> None:
    """No save was ever whole: the torn one is set aside, and the run starts anew by itself."""
    script = (
        "import os, signal\n"
        "out = os.environ['OUTPUT'] + '/checkpoint-10'\n"
        "if os.environ['SUPERVISOR_ATTEMPT'] in '12':\n"
        "    os.makedirs(out); open(out + '/model.safetensors', 'wb').write(b'\\xff')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    scripted(run, script, resume={"args": ["{checkpoint}"]})
    assert run.run() == 0
    assert [e["signal"] for e in run.entries("attempt_ended")] == [9, 9, None]
    assert [e["checkpoint"] for e in run.entries("attempt_started")] == [None] * 3
    assert "checkpoint-10 is set aside (invalid)" in run.text


def test_trainers_that_find_their_checkpoints_go_on_as_long_as_their_steps_do(
    run: Supervised,
) -> None:
    """Eight deaths, each ten steps further: no message says that the run starts from nothing."""
    script = (
        "import os, sys\n"
        "place = os.environ['STATE']\n"
        "start = int(open(place).read()) if os.path.exists(place) else 0\n"
        "for step in range(start + 1, start + 11): print('step', step, flush=True)\n"
        "open(place, 'w').write(str(step)); sys.exit(0 if step == 90 else 3)\n"
    )
    run.configure(
        command=[sys.executable, "-c", script], checkpoints={"directory": "out"},
        resume={"by": "trainer"}, watch={"progress": r"step (?P<step>\d+)"},
        env={"STATE": run.folder / "hidden-state"},
    )  # fmt: skip
    assert run.run() == 0
    assert len(run.entries("attempt_started")) == 9
    assert "from nothing" not in run.text
    assert "from the beginning" not in run.command("events").stdout
    assert "finds its checkpoint itself" in run.text


@pytest.mark.root
def test_a_missing_mount_is_waited_for(run: Supervised) -> None:
    """The disk is unmounted between two supervisors: the run waits for it, and then goes on."""
    out = run.folder / "disk"
    out.mkdir()
    keep, supervisor = run.folder / "keep", f"{sys.executable} -m supervisor"
    script = f"""
        mount -t tmpfs none {out}
        {supervisor} run {run.config}
        mkdir {keep}
        mount --move {out} {keep}
        {supervisor} resume {run.run_dir}
        {supervisor} check {run.config}
        {supervisor} run {run.config} &
        until grep -q '"state":"waiting"' {run.paths.status}; do sleep 0.1; done
        mount --move {keep} {out}
        wait $!
    """
    faults = '{"1": [25, "exit78"]}'
    env = {"OUTPUT": out / "ckpt", "FAULTS": faults}
    run.configure(checkpoints={"directory": str(out / "ckpt")}, env=env)
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", script],
        cwd=run.folder, capture_output=True, text=True, timeout=55, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"nothing is mounted on {out}" in done.stdout
    assert ": going on" in done.stdout
    assert run.entries("attempt_started")[-1]["checkpoint"]["step"] == 20


def test_seen_and_gone_before_it_could_be_proven(run: Supervised) -> None:
    """A foreign save counts 10 s after its last write. A save lost before that is missing."""
    script = (
        "import os, shutil, sys, time\n"
        "out = os.environ['OUTPUT']\n"
        "os.makedirs(out + '/checkpoint-10')\n"
        "open(out + '/checkpoint-10/w.bin', 'w').write('1')\n"
        "while not os.path.exists(out + '.gone'): time.sleep(0.05)\n"
        "sys.exit(3)\n"
    )
    out = scripted(run, script, resume={"args": ["{checkpoint}"]})
    run.start()
    run.wait(lambda: run.entries("checkpoint_seen"))
    assert not run.entries("checkpoint")
    out.rename(run.folder / "away")
    (run.folder / "out.gone").touch()
    assert run.finish() == 1
    assert "checkpoint-10 (step 10)" in run.status["reason"]
    assert len(run.entries("attempt_started")) == 1
