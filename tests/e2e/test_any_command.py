"""Commands that do not attach: restarted, watched by their log, reported when silent."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Supervised

SCRIPT = """
counter=$(cat {state} 2>/dev/null || echo 0)
while [ $counter -lt 30 ]; do
    counter=$((counter + 1))
    echo $counter > {state}.new && mv {state}.new {state}
    echo "iteration: $counter of 30"
    [ $counter = 12 ] && kill -9 $$
    {hang}
    sleep 0.05
done
"""


def shell(run: Supervised, hang: str = ":") -> list[str]:
    """A shell script that keeps its own state."""
    text = SCRIPT.format(state=run.folder / "state", hang=hang)
    (run.folder / "job.sh").write_text(text)
    return ["bash", str(run.folder / "job.sh")]


def test_a_shell_script_is_restarted_and_its_step_read(run: Supervised) -> None:
    """A script, killed at step 12, is started again; its step is read from the log."""
    run.configure(command=shell(run), watch={"progress": r"iteration: (?P<step>\d+)"})
    assert run.run() == 0
    assert len(run.entries("attempt_started")) == 2
    assert run.entries("attempt_ended")[0]["step"] == 12
    assert run.status["step"] == 30


def test_the_trainers_directory_is_not_made_for_it(run: Supervised) -> None:
    """If its directory exists, ultralytics makes `t-2`, `t-3`, … instead, and starts anew."""
    script = f"test ! -e {run.folder}/out && test $SUPERVISOR_ATTEMPT = 2"
    run.configure(
        command=["bash", "-c", script], checkpoints={"directory": str(run.folder / "out/ckpt")}
    )
    assert run.run() == 0
    assert [entry["code"] for entry in run.entries("attempt_ended")] == [1, 0]
    assert not (run.folder / "out").exists()


def test_a_script_that_reads_its_checkpoint_directory_finds_it(run: Supervised) -> None:
    """Reading `run.checkpoint_dir` makes the directory; attaching alone does not."""
    out = run.folder / "out/ckpt"
    script = (
        "import os; from supervisor.worker import attach; run = attach();"
        f" assert not os.path.exists({str(out)!r});"
        f" assert str(run.checkpoint_dir) == {str(out)!r}; assert os.path.isdir({str(out)!r})"
    )
    run.configure(command=[sys.executable, "-c", script], checkpoints={"directory": "out/ckpt"})
    assert run.run() == 0, run.log


def test_silence_is_reported_with_stacks_and_not_restarted(run: Supervised) -> None:
    """The incident has the stacks of the shell's Python child; the attempt goes on."""
    pipe = run.folder / "pipe"
    os.mkfifo(pipe)
    child = f"{sys.executable} -c 'open(\"{pipe}\").read()'"
    hang = f"[ $counter = 5 ] && {child}"
    run.configure(command=shell(run, hang), watch={"log_silence": "4s"})
    run.start()
    (silence,) = run.wait(lambda: [e for e in run.entries("incident") if e["failure"] == "hang"])
    assert "not grown" in silence["what"]
    folder = Path(silence["folder"])
    run.wait(lambda: any("<module>" in file.read_text() for file in folder.glob("stacks-*.txt")))
    pipe.write_text("")
    assert run.finish() == 0
    assert len(run.entries("incident")) == 2, "the silence, and the kill at 12"
    assert len(run.entries("attempt_started")) == 2  # only the kill at 12 restarts


@pytest.mark.slow
def test_silence_restarts_when_asked_to(run: Supervised) -> None:
    """With `on_silence: restart` a silent command whose counters stand still is a hang."""
    hang = "[ $counter = 5 ] && sleep 3600"
    run.configure(
        command=shell(run, hang), watch={"log_silence": "2s", "on_silence": "restart"}, grace="2s"
    )
    assert run.run() == 0
    assert run.entries("attempt_ended")[0]["failure"] == "hang"
    assert run.strays() == []


def test_arguments_and_environment_as_documented(run: Supervised) -> None:
    """The trainer gets resume.args, fresh_args, SUPERVISOR_ variables, and yielding defaults."""
    script = run.folder / "show.py"
    script.write_text(
        "import json, os, sys\n"
        "from pathlib import Path\n"
        "run_dir = Path(os.environ['SUPERVISOR_RUN_DIR'])\n"
        "n = os.environ['SUPERVISOR_ATTEMPT']\n"
        "env = {k: v for k, v in os.environ.items()}\n"
        "before = Path(env['SUPERVISOR_HEARTBEAT'], 'attempts-before.json').read_text()\n"
        "seen = [sys.argv[1:], env, json.loads(before)]\n"
        "(run_dir / f'seen-{n}.json').write_text(json.dumps(seen))\n"
        "import torch\n"
        "torch.save({'w': torch.zeros(3)}, run_dir / 'checkpoint-7.pt')\n"
        "os.utime(run_dir / 'checkpoint-7.pt')\n"
        "sys.exit(0 if n == '2' else 9)\n"
    )
    run.configure(
        command=[sys.executable, str(script)],
        resume={"args": ["--from", "{checkpoint}", "--step={step}"], "fresh_args": ["--new"]},
        env={"PYTHONUNBUFFERED": "x", "MINE": "1"},
    )
    assert run.run() == 0
    first, env, costs = json.loads((run.run_dir / "seen-1.json").read_text())
    second, again, more = json.loads((run.run_dir / "seen-2.json").read_text())
    assert costs == {"attempt": 1, "lost_steps": 0, "last_failure": None}
    assert more == {"attempt": 2, "lost_steps": None, "last_failure": "unknown"}
    checkpoint = str(run.run_dir / "checkpoint-7.pt")
    assert first == ["--new"]
    assert second == ["--from", checkpoint, "--step=7"]
    assert "SUPERVISOR_RESUME_FROM" not in env
    assert again["SUPERVISOR_RESUME_FROM"] == checkpoint
    assert (env["PYTHONUNBUFFERED"], env["MINE"]) == ("x", "1")
    assert env["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] == "10"
    assert env["WANDB_RUN_ID"] == again["WANDB_RUN_ID"]
    assert env["SUPERVISOR_GRACE_S"] == "10"


def test_checkpoints_with_names_of_their_own(run: Supervised) -> None:
    """Names that match `checkpoints.pattern` are found, resumed from and kept."""
    saves = run.folder / "saves"
    script = (
        f'mkdir -p {saves}; n=${{2:-0}}; [ "$1" = --at ] || n=0; '
        f"for i in 1 2 3; do n=$((n+1)); head -c 4096 /dev/urandom > {saves}/weights-$n.bin; done; "
        "echo began at ${2:-nothing}; [ $n -ge 6 ]"
    )
    run.configure(
        command=["bash", "-c", script, "job"],
        checkpoints={"directory": str(saves), "pattern": r"weights-(?P<step>\d+)\.bin"},
        resume={"args": ["--at", "{step}"]},
    )
    assert run.run() == 0
    assert "began at 3" in run.log
    assert [
        e["checkpoint"] and e["checkpoint"]["step"] for e in run.entries("attempt_started")
    ] == [
        None,
        3,
    ]
    listed = json.loads(run.raw("checkpoints", "--json", str(run.run_dir)).stdout)
    assert listed[0]["step"] == 6
