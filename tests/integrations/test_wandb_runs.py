"""Unchanged scripts that log to W&B, offline: one run over attempts, and what that run is told."""

import json
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.conftest import Installation
from tests.integrations.runs import PATIENCE_S, CommandRun
from tests.integrations.trainers import SCRIPTS, trainers_python

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(900)]
OFFLINE = {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
OURS = {
    "SUPERVISOR_RUN_ID": "ours", "WANDB_RUN_ID": "ours", "WANDB_RESUME": "allow",
    "SUPERVISOR_WANDB": "WANDB_RUN_ID,WANDB_RESUME", "LOCAL_RANK": "0",
}  # fmt: skip
CAUSAL_LM = (
    "--output_dir", "out", "--max_steps", "20", "--logging_steps", "1", "--save_steps", "5",
    "--seed", "3", "--per_device_train_batch_size", "2", "--use_cpu",
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Iterator[CommandRun]:
    """A run of a script, by a Python that has wandb."""
    made = CommandRun(tmp_path, "wandb")
    yield made
    made.close()


CALLS = (
    ("resume_from='old?_step=3'", "old"),
    ("fork_from='old?_step=3'", None),
    ("fork_from='old?_step=3', id='mine'", "mine"),
    ("settings=wandb.Settings(resume_from='old?_step=3')", "old"),
    ("settings={'fork_from': 'old?_step=3'}", None),
    ("resume='never'", None),
    ("resume=True", None),
    ("id='mine'", "mine"),
    ("settings=wandb.Settings(run_id='mine')", "mine"),
    ("", "ours"),
    ("", None),
    ("reinit='create_new'", None),
)
CALL_EACH = """
import json, sys, wandb
ids = []
for asked in json.loads(sys.argv[1]):
    run = eval(f"wandb.init(project='calls', {asked})")
    ids.append([run.id, run.settings.resume])
    run.finish()
print(json.dumps(ids))
"""


@pytest.mark.parametrize(
    "first", ["", "wandb.setup()\n", "wandb.setup(wandb.Settings(run_notes='mine'))\n"]
)
def test_no_call_of_init_fails_by_our_variables(installation: Installation, first: str) -> None:
    """W&B refuses `fork_from` and `resume_from` beside what the supervisor sets.

    `first`: W&B has read the environment before the first call.
    """
    script = installation.write("calls.py", CALL_EACH.replace("ids = []", f"ids = []\n{first}"))
    done = installation.run(
        str(script), json.dumps([asked for asked, _ in CALLS]), python=trainers_python("wandb"),
        environment=installation.environment(hook=True, **OURS, **OFFLINE),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    for (asked, run_id), (found, resume) in zip(CALLS, json.loads(done.stdout), strict=True):
        known = found if found in {"old", "mine", "ours"} else None
        assert (asked, known) == (asked, run_id)
        assert (resume == "allow") == (known == "ours"), asked


FORKS = """
run = begin()
child = multiprocessing.get_context("fork").Process(target=begin)
child.start()
child.join()
print(child.exitcode)
begin()
"""
SPAWNS = """
pickle.dumps(wandb.init)
child = multiprocessing.get_context("spawn").Process(target=wandb.init)
child.start()
child.join()
print(child.exitcode)
"""
THREADS = """
threads = [threading.Thread(target=begin, kwargs={"reinit": "create_new"}) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
KEEPS = """
settings = wandb.Settings()
begin(settings=settings)
print(settings.run_id, settings.resume)
"""
WISHES = (
    ("os.environ['WANDB_RESUME_FROM'] = 'old?_step=3'; begin()", "old None"),
    ("os.environ['WANDB_RESUME'] = 'never'; begin()", "new never"),
    ("wandb.setup(wandb.Settings(resume_from='old?_step=3')); begin()", "old None"),
    ("wandb.setup(wandb.Settings(fork_from='old?_step=3')); begin()", "new None"),
    ("os.environ['WANDB_REINIT'] = 'finish_previous'; begin(); begin()", "ours allow new None"),
    ("wandb.setup(wandb.Settings(reinit='create_new')); begin(); begin()", "ours allow new None"),
    ("begin(reinit='create_new'); begin(); begin()", "ours allow ours allow ours allow"),
    ("wandb.init(mode='disabled'); begin()", "ours allow"),
    (FORKS, "ours allow new None 0 ours allow"),
    (SPAWNS, "0"),
    (KEEPS, "ours allow None None"),
    ("wandb.sdk.init(); begin()", "ours allow"),
)
WISH = """
import multiprocessing, os, pickle, threading, wandb
def begin(**asked):
    run = wandb.init(**asked)
    known = run.id if run.id in ("ours", "old") else "new"
    print(f"{known} {run.settings.resume}\\n", end="", flush=True)
if __name__ == "__main__":
"""


def wished(installation: Installation, wish: str) -> str:
    """What a script with this wish prints under the hook."""
    script = installation.write("wish.py", WISH + textwrap.indent(wish.strip(), "    "))
    done = installation.run(
        str(script), python=trainers_python("wandb"),
        environment=installation.environment(hook=True, **OURS, **OFFLINE),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(("wish", "said"), WISHES)
def test_a_wish_of_the_script_counts(installation: Installation, wish: str, said: str) -> None:
    """In the environment, in `wandb.setup`, in a child, in threads: as W&B has it."""
    assert wished(installation, wish).split() == said.split()


def test_threads_begin_runs_at_once(installation: Installation) -> None:
    """One of them has our id."""
    assert sorted(wished(installation, THREADS).splitlines()) == ["new None"] * 3 + ["ours allow"]


def logged(run: CommandRun) -> list[dict[str, Any]]:
    """What W&B's offline folders hold, one for each attempt, the first attempt's first."""
    read = (run.python_of_trainer, str(SCRIPTS / "wandb_records.py"), str(run.folder))
    found = subprocess.run(read, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    return list(json.loads(found.stdout))


def assert_one_run(run: CommandRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """Three attempts are one run, and nothing is told to the user; what the last two logged."""
    attempts = logged(run)
    ledger = run.paths.ledger.read_text()
    assert [one["id"] for one in attempts] == [json.loads(ledger.splitlines()[0])["run_id"]] * 3
    assert "W&B" not in ledger
    return attempts[1], attempts[2]


def told(attempt: dict[str, Any]) -> dict[str, Any]:
    """What the supervisor put into an attempt's summary."""
    found = attempt["summary"].items()
    return {key: value for key, value in found if key.startswith("supervisor/")}


def assert_told(run: CommandRun) -> None:
    """A kill at step 9, a stop at step 13: the run hears what they cost, and of the stop."""
    assert run.ends() == 75
    assert "saved at step 13" in run.text
    assert run.ends() == 0
    assert run.resumed() == [None, 5, 13]
    stopped, ended = assert_one_run(run)
    assert (stopped["preempting"], stopped["exit"]) == (1, 75)
    assert (ended["preempting"], ended["exit"]) == (0, 0)
    costs = {"supervisor/lost_steps": 3}
    assert told(stopped) == {"supervisor/attempt": 2, "supervisor/last_failure": "killed", **costs}
    assert told(ended) == {"supervisor/attempt": 3, "supervisor/last_failure": "preempted", **costs}


def test_transformers(run: CommandRun) -> None:
    """`--report_to wandb`: WandbCallback begins the run once the training has begun."""
    arguments = (*CAUSAL_LM, "--report_to", "wandb")
    run.use_script("causal_lm.py", *arguments, faults="kill@9,stop@13", **OFFLINE)
    assert_told(run)


def test_lightning(run: CommandRun) -> None:
    """WandbLogger, which passes `resume="allow"` by itself."""
    run.use_script("lightning_script.py", faults="kill@9,stop@13", TRACKER="wandb", **OFFLINE)
    assert_told(run)


def test_an_accelerate_loop(run: CommandRun) -> None:
    """Its steps are not known, and so it is not said how many were lost."""
    words = ("--output_dir", "out", "--max_train_steps", "24")
    faults = "kill@13,stop@18"
    run.use_script("accelerate_loop.py", *words, faults=faults, TRACKER="wandb", **OFFLINE)
    config = run.folder / "config.yaml"
    assert run.raw("init", str(config), "--", *run.words).returncode == 0
    run.run_dir.mkdir(parents=True)
    text = config.read_text().replace("\nname: ", f"\ncwd: {run.folder}\nname: ")
    text = text.replace(f"name: {run.folder.name}", "name: accelerate_loop")
    args = "resume: {args: [--resume_from_checkpoint, '{checkpoint}']}\n"
    run.config.write_text(text + "checkpoints: {directory: out}\n" + args)
    assert run.ends() == 75
    assert run.ends() == 0
    _, ended = assert_one_run(run)
    assert told(ended) == {"supervisor/attempt": 3, "supervisor/last_failure": "preempted"}
