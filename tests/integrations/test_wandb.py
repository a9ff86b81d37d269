"""`wandb.init` under the start-up hook, and what the run is told, with a small stand-in of W&B."""

import json
import textwrap
from typing import Any

import pytest

from .conftest import NEW_ENOUGH, Installation, version_of

PYTHONS = sorted({min(NEW_ENOUGH, key=version_of), max(NEW_ENOUGH, key=version_of)})

STAND_IN = {
    "__init__.py": """
from wandb.sdk import init, setup, teardown, Settings
run = None
""",
    "sdk/__init__.py": """
from .wandb_init import init
from .wandb_settings import Settings
from .wandb_setup import setup, teardown
""",
    "sdk/wandb_settings.py": """
FIELDS = ("run_id", "resume", "resume_from", "fork_from", "mode", "reinit", "sweep_id")

class Settings:
    def __init__(self, **more):
        for name in FIELDS:
            setattr(self, name, more.get(name))
    def update_from_settings(self, other):
        for name in FIELDS:
            if getattr(other, name) is not None:
                setattr(self, name, getattr(other, name))
        if sum(bool(one) for one in (self.fork_from, self.resume, self.resume_from)) > 1:
            raise ValueError("`fork_from`, `resume`, or `resume_from` are mutually exclusive")
    def update_from_env_vars(self, environ):
        found = {name: environ.get("WANDB_" + name.upper()) for name in FIELDS}
        self.update_from_settings(Settings(**found))
""",
    "sdk/wandb_setup.py": """
import os
from .wandb_settings import Settings

class State:
    def __init__(self):
        self._pid, self._settings, self.active = os.getpid(), None, []
    @property
    def most_recent_active_run(self):
        return self.active[-1] if self.active else None
    @property
    def settings(self):
        if self._settings is None:
            self._settings = Settings()
            self._settings.update_from_env_vars(dict(os.environ))
        return self._settings

_singleton = None

def singleton():
    global _singleton
    if _singleton is None or _singleton._pid != os.getpid():
        _singleton = State()
    return _singleton

def setup(settings=None):
    singleton().settings.update_from_settings(settings or Settings())

def teardown():
    global _singleton
    _singleton = None
""",
    "sdk/wandb_init.py": """
import itertools
import os
import wandb
from .wandb_settings import Settings
from .wandb_setup import singleton

own = itertools.count(1)

class Run:
    def __init__(self, id, resume, active):
        self.id, self.resume, self.summary, self.marks = id, resume, {}, 0
        self._is_finished, self._active = False, active
    def mark_preempting(self):
        self.marks += 1
        if self._is_finished:
            raise RuntimeError("the run is finished")
    def finish(self):
        self._active.remove(self)
        self._is_finished = True
        if wandb.run is self:
            wandb.run = None

def init(project=None, id=None, resume=None, resume_from=None, fork_from=None, reinit=None,
         mode=None, settings=None):
    given = Settings(**settings) if isinstance(settings, dict) else settings or Settings()
    asked = Settings(run_id=id, resume=resume, resume_from=resume_from, fork_from=fork_from,
                     reinit=reinit, mode=mode)
    given.update_from_settings(asked)
    state = singleton()
    effective = Settings()
    effective.update_from_settings(state.settings)
    effective.update_from_settings(given)
    if project == "broken":
        raise RuntimeError("no such project")
    number = next(own)
    if state.active and effective.reinit in (None, False, "default", "return_previous"):
        return state.active[-1]
    if effective.reinit in (True, "finish_previous"):
        for run in list(state.active):
            run.finish()
    new = Run(effective.run_id or f"own{number}", effective.resume, state.active)
    state.active.append(new)
    if effective.reinit != "create_new":
        wandb.run = new
    return new
""",
}
OURS = {
    "SUPERVISOR_RUN_ID": "ours", "WANDB_RUN_ID": "ours", "WANDB_RESUME": "allow",
    "SUPERVISOR_WANDB": "WANDB_RUN_ID,WANDB_RESUME",
}  # fmt: skip
CALL = "import wandb; run = wandb.init({}); print(run.id, run.resume)"


class Scripts:
    """Scripts that log to W&B, run as attempts of one run."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        for name, code in STAND_IN.items():
            installation.write(f"library/wandb/{name}", code)

    def says(
        self, code: str, *, attempt: int = 1, script: str = "script.py", code_is: int = 0,
        python: str | None = None, **more: str,
    ) -> str:  # fmt: skip
        """Run a script in an attempt; what it prints."""
        installation = self.installation
        heartbeats = installation.folder / f"heartbeats-{attempt}"
        heartbeats.mkdir(exist_ok=True)
        environment = installation.environment(
            installation.library,
            **{**OURS, "SUPERVISOR_ATTEMPT": str(attempt), "LOCAL_RANK": "0",
               "SUPERVISOR_HEARTBEAT": str(heartbeats), **more},
        )  # fmt: skip
        path = installation.write(script, code)
        how = {"environment": environment} | ({} if python is None else {"python": python})
        done = installation.run("-W", "error", str(path), **how)  # type: ignore[arg-type]
        assert (done.returncode, done.stderr) == (code_is, ""), done.stderr
        return done.stdout.strip()

    def says_alone(self, code: str) -> str:
        """What a script prints without a supervisor."""
        alone = self.installation.environment(self.installation.library, hook=False)
        path = self.installation.write("script.py", code)
        done = self.installation.run("-W", "error", str(path), environment=alone)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()

    def before(self, attempt: int, **facts: Any) -> None:
        """Write what the daemon writes before a launch."""
        folder = self.installation.folder / f"heartbeats-{attempt}"
        folder.mkdir(exist_ok=True)
        (folder / "attempts-before.json").write_text(json.dumps({"attempt": attempt, **facts}))

    def told(self, attempt: int = 1) -> list[str]:
        """What the user is told of an attempt."""
        folder = self.installation.folder / f"heartbeats-{attempt}"
        found = [json.loads(path.read_text())["told"] for path in folder.glob("describe-*.json")]
        return [sentence for sentences in found for sentence in sentences]


@pytest.fixture
def scripts(installation: Installation) -> Scripts:
    """A run without any attempt yet."""
    return Scripts(installation)


@pytest.mark.parametrize("python", PYTHONS)
def test_all_attempts_are_one_run(scripts: Scripts, python: str) -> None:
    """A plain call has our id in each attempt, and nothing is said about it."""
    for attempt in (1, 2, 3):
        assert scripts.says(CALL.format(""), attempt=attempt, python=python) == "ours allow"
        assert scripts.told(attempt) == []


@pytest.mark.parametrize(
    ("asked", "first", "second"),
    [
        ("'project'", "ours allow", "ours allow"),
        ("resume='allow'", "ours allow", "ours allow"),
        ("resume='must'", "ours must", "ours must"),
        ("id='mine'", "mine None", "mine allow"),
        ("id='mine', resume='must'", "mine must", "mine must"),
        ("settings=wandb.Settings(run_id='mine')", "mine None", "mine allow"),
        ("settings={'run_id': 'mine'}", "mine None", "mine allow"),
        ("resume_from='old?_step=3'", "own1 None", "own1 None"),
        ("fork_from='old?_step=3'", "own1 None", "own1 None"),
        ("'p', None, None, 'old?_step=3'", "own1 None", "own1 None"),
        ("fork_from='old?_step=3', id='mine'", "mine None", "mine None"),
        ("settings=wandb.Settings(resume_from='old?_step=3')", "own1 None", "own1 None"),
        ("settings={'fork_from': 'old?_step=3'}", "own1 None", "own1 None"),
        ("resume='never'", "own1 never", "own1 never"),
        ("resume='auto'", "own1 auto", "own1 auto"),
        ("resume=True", "own1 True", "own1 True"),
        ("mode='shared', id='mine'", "mine None", "mine None"),
        ("mode='disabled'", "own1 None", "own1 None"),
    ],
)
def test_what_a_call_asks_for_counts(scripts: Scripts, asked: str, first: str, second: str) -> None:
    """No call fails or changes by our variables, and they are all there afterwards."""
    code = CALL.format(asked) + "; import os; print(os.environ['WANDB_RUN_ID'])"
    assert scripts.says(code) == f"{first}\nours"
    assert scripts.says(code, attempt=2) == f"{second}\nours"
    assert scripts.told(2) == []


def test_the_users_own_variables_are_never_touched(scripts: Scripts) -> None:
    """Also where W&B refuses them: the error is the user's own."""
    code = """
    import wandb
    try:
        wandb.init(fork_from="old?_step=3")
    except ValueError as error:
        print(error)
    """
    theirs = {"WANDB_RUN_ID": "mine", "SUPERVISOR_WANDB": ""}
    assert "mutually exclusive" in scripts.says(textwrap.dedent(code), **theirs)
    assert scripts.says(CALL.format(""), **theirs) == "mine allow"
    half = {"WANDB_RUN_ID": "mine", "SUPERVISOR_WANDB": "WANDB_RESUME"}
    assert scripts.says(CALL.format("fork_from='old?_step=3'"), **half) == "mine None"
    own = "import os; os.environ['WANDB_RUN_ID'] = 'mine'\n" + CALL.format("resume='never'")
    assert scripts.says(own) == "mine never"


@pytest.mark.parametrize(
    "wish",
    [
        "os.environ['WANDB_RESUME_FROM'] = 'old?_step=3'",
        "os.environ['WANDB_FORK_FROM'] = 'old?_step=3'",
        "os.environ['WANDB_RESUME'] = 'never'",
        "os.environ['WANDB_MODE'] = 'shared'",
        "os.environ['WANDB_SWEEP_ID'] = 'sweep'",
        "wandb.setup(wandb.Settings(resume_from='old?_step=3'))",
        "wandb.setup(wandb.Settings(fork_from='old?_step=3'))",
        "wandb.setup(wandb.Settings(resume='never'))",
        "wandb.setup(wandb.Settings(run_id='mine'))",
        "wandb.setup(); wandb.setup(wandb.Settings(mode='shared'))",
        "os.environ |= {'WANDB_RESUME': 'must', 'WANDB_FORK_FROM': 'old?_step=3'}",
        "wandb.setup(); os.environ['WANDB_RESUME'] = 'ignored'",
        "wandb.setup(); os.environ['WANDB_RUN_ID'] = 'ignored'",
        "wandb.setup(); os.environ['WANDB_RUN_ID'] = 'ignored'; s = wandb.Settings(run_id='mine')",
    ],
)
def test_a_wish_of_the_script_counts_wherever_it_stands(scripts: Scripts, wish: str) -> None:
    """In the environment, or in what `wandb.setup` is given: as without us, also its errors."""
    code = f"""
    import os, wandb
    s = None
    {wish}
    for attempt in range(2):
        try:
            run = wandb.init(settings=s)
            print(run.id, run.resume)
            run.finish()
        except ValueError as error:
            print(error)
    """
    assert scripts.says(textwrap.dedent(code)) == scripts.says_alone(textwrap.dedent(code))
    assert not [told for told in scripts.told() if "several" in told]


def test_the_scripts_settings_stay_as_they_are(scripts: Scripts) -> None:
    """W&B writes arguments into the object: ours do not stay there, nor does a failed call's."""
    code = """
    import wandb
    settings = wandb.Settings()
    try:
        wandb.init("broken", settings=settings)
    except RuntimeError:
        pass
    print(settings.run_id, settings.resume)
    run = wandb.init(settings=settings)
    print(run.id, run.resume, settings.run_id, settings.resume)
    run.finish()
    print(wandb.init(settings=settings).id)
    """
    assert scripts.says(textwrap.dedent(code)) == "None None\nours allow None None\nown2"


def test_two_threads_begin_runs_at_once(scripts: Scripts) -> None:
    """One of them has our id, whatever the other one asks for."""
    code = """
    import threading, wandb
    barrier, ids = threading.Barrier(8), []
    def begin(asked):
        barrier.wait()
        ids.append(wandb.init(reinit="create_new", **asked).id)
    wandb.setup()
    asked = [{}, {"fork_from": "old?_step=3"}] * 4
    threads = [threading.Thread(target=begin, args=(one,)) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(ids), len(set(ids)), ids.count("ours"))
    """
    assert scripts.says(textwrap.dedent(code)) == "8 8 1"
    (told,) = scripts.told()
    assert "several W&B runs" in told


def test_a_version_that_does_not_fit(scripts: Scripts) -> None:
    """It is said once, and `wandb.init` is as W&B has it."""
    path = scripts.installation.library / "wandb" / "sdk" / "wandb_settings.py"
    path.write_text(path.read_text().replace("update_from_env_vars", "update_from_all"))
    setup = path.with_name("wandb_setup.py")
    setup.write_text(setup.read_text().replace("update_from_env_vars", "update_from_all"))
    assert scripts.says(TWICE.format("", "run.finish()")) == "ours allow\nours allow"
    (told,) = scripts.told()
    assert "this version of W&B" in told


@pytest.mark.parametrize("python", PYTHONS)
def test_init_can_be_sent_to_another_process(scripts: Scripts, python: str) -> None:
    """The wrapped `wandb.init` stands in each of W&B's places, so pickle finds it by its name."""
    code = """
    import multiprocessing, pickle, wandb.sdk.wandb_init
    if __name__ == "__main__":
        places = wandb, wandb.sdk, wandb.sdk.wandb_init
        assert {place.init for place in places} == {pickle.loads(pickle.dumps(wandb.init))}
        print(wandb.init.__module__, wandb.init.__qualname__)
        child = multiprocessing.get_context("spawn").Process(target=wandb.init)
        child.start()
        child.join()
        print(child.exitcode, wandb.sdk.init().id)
    """
    said = scripts.says(textwrap.dedent(code), python=python)
    assert said == "wandb.sdk.wandb_init init\n0 own1"
    (told,) = scripts.told()
    assert "several W&B runs" in told


def test_an_agent_of_a_sweep_has_chosen_the_run(scripts: Scripts) -> None:
    """`wandb.agent` sets the variables in its own process, for each of its runs."""
    code = """
    import os
    for number in (1, 2):
        os.environ |= {"WANDB_SWEEP_ID": "sweep", "WANDB_RUN_ID": f"agents{number}"}
        import wandb
        wandb.teardown()
        run = wandb.init()
        print(run.id, run.resume)
        run.finish()
    """
    assert scripts.says(textwrap.dedent(code)) == "agents1 None\nagents2 None"
    assert scripts.told() == []


TWICE = """
import wandb
for number in range(2):
    run = wandb.init({})
    print(run.id, run.resume)
    {}
"""


@pytest.mark.parametrize(
    ("asked", "then"), [("", "run.finish()"), ("reinit='create_new'", ""), ("reinit=True", "")]
)
def test_a_second_run_is_not_merged_into_the_first(scripts: Scripts, asked: str, then: str) -> None:
    """From then on no run has our id: which of them goes on is not known. That is told once."""
    assert scripts.says(TWICE.format(asked, then)) == "ours allow\nown2 None"
    (told,) = scripts.told()
    assert "several W&B runs" in told
    assert scripts.says(TWICE.format(asked, then), attempt=2) == "own1 None\nown2 None"
    assert scripts.told(2) == []


@pytest.mark.parametrize("reinit", ["finish_previous", "create_new"])
@pytest.mark.parametrize("where", ["environ['WANDB_REINIT'] = ", "setup"])
def test_reinit_counts_wherever_it_stands(scripts: Scripts, where: str, reinit: str) -> None:
    """The second run does not get the id of the first."""
    wish = f"import os; os.{where}'{reinit}'\n"
    if where == "setup":
        wish = f"import wandb; wandb.setup(wandb.Settings(reinit='{reinit}'))\n"
    assert scripts.says(wish + TWICE.format("", "")) == "ours allow\nown2 None"
    (told,) = scripts.told()
    assert "several W&B runs" in told


@pytest.mark.parametrize("first", ["pass", "run.finish()", "run = None"])
def test_a_forked_child_has_a_run_of_its_own(scripts: Scripts, first: str) -> None:
    """It cannot go on in its parent's run: W&B refuses an id that is in use."""
    code = f"""
    import os, wandb
    run = wandb.init() if {first!r} != "run = None" else None
    {first}
    child = os.fork()
    if not child:
        for _ in range(2):
            print(wandb.init().id, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print(wandb.init().id)
    """
    said = scripts.says(textwrap.dedent(code)).split()
    if first == "run = None":
        assert said == ["ours", "ours", "own1"]
    else:
        assert said == ["own2", "own2", "ours" if first == "pass" else "own2"]
    assert len(scripts.told()) == 1


def test_a_run_that_is_returned_again_is_no_second_one(scripts: Scripts) -> None:
    """Nor is one that the script goes on with by its id."""
    code = TWICE.format("", "") + "run.finish(); print(wandb.init(id='ours', resume='must').resume)"
    for attempt in (1, 2):
        assert scripts.says(code, attempt=attempt) == "ours allow\nours allow\nmust"
        assert scripts.told(attempt) == []


def test_a_run_beside_the_global_one_is_returned_again(scripts: Scripts) -> None:
    """W&B has no global run then, and returns the last one that is not finished."""
    code = """
    import wandb
    run = wandb.init(reinit="create_new")
    print(run.id, wandb.init() is run)
    """
    assert scripts.says(textwrap.dedent(code)) == "ours True"
    assert scripts.told() == []


def test_another_program_has_a_run_of_its_own(scripts: Scripts) -> None:
    """An evaluation that the script starts does not log into the training's run."""
    for attempt in (1, 2):
        assert scripts.says(CALL.format(""), attempt=attempt) == "ours allow"
        for _ in range(2):
            said = scripts.says(CALL.format(""), attempt=attempt, script="eval.py")
            assert said == "own1 None"
        assert scripts.told(attempt) == []


def test_each_rank_has_a_run_of_its_own(scripts: Scripts) -> None:
    """Only rank 0 has our id; a rank 0 that torchrun starts anew goes on in its run."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        assert scripts.says(CALL.format(""), **{name: "1"}) == "own1 None"
    assert scripts.says(CALL.format(""), RANK="0") == "ours allow"
    assert scripts.says(CALL.format(""), RANK="0", TORCHELASTIC_RESTART_COUNT="1") == "ours allow"
    assert scripts.told() == []


def test_a_call_that_fails(scripts: Scripts) -> None:
    """The error has no frame of ours, and the next call has the id."""
    code = """
    import traceback, wandb
    try:
        wandb.init("broken")
    except RuntimeError as error:
        frames = traceback.extract_tb(error.__traceback__)
        print([frame.name for frame in frames], error)
    """
    said = scripts.says(textwrap.dedent(code) + CALL.format(""))
    assert said == "['<module>', 'init'] no such project\nours allow"


def test_an_environment_that_wandb_refuses(scripts: Scripts) -> None:
    """It is said by W&B alone, each time as without us."""
    code = """
    import os, traceback, wandb
    os.environ |= {"WANDB_RESUME": "must", "WANDB_FORK_FROM": "old?_step=3"}
    for _ in range(2):
        try:
            print(wandb.init().resume)
        except ValueError as error:
            print([frame.name for frame in traceback.extract_tb(error.__traceback__)], error)
    try:
        wandb.init(project="a", nonsense=1)
    except TypeError as error:
        print(error)
    """
    assert scripts.says(textwrap.dedent(code)) == scripts.says_alone(textwrap.dedent(code))
    assert scripts.told() == []


def test_a_full_disk(scripts: Scripts) -> None:
    """Where the claim cannot be noted, the call is as the variables have it, and that is told."""
    said = scripts.says(CALL.format(""), SUPERVISOR_HEARTBEAT="/nonexistent")
    assert said == "ours allow"
    (scripts.installation.folder / "run" / ".supervisor").rmdir()
    assert scripts.says(CALL.format("")) == "ours allow"
    assert len(scripts.told()) == 1


@pytest.mark.parametrize(
    "module",
    [
        None,
        "",
        "init = 7; run = None",
        "run = None\ndef init(*words): return 5",
        "def init(): return None",
        "run = 'faster'\ndef init(*words): return run",
        "class Run: pass\nrun = Run()\ndef init(**more): return run",
        "class Run:\n    __slots__ = ()\nrun = Run()\ninit = Run",
        "import sys; sys.modules[__name__] = 7",
        "def __getattr__(name): raise ValueError(name)",
    ],
)
@pytest.mark.parametrize("python", PYTHONS)
def test_anything_may_be_named_wandb(
    installation: Installation, module: str | None, python: str
) -> None:
    """A folder that W&B wrote, a module of the user's: they import and work as without us."""
    if module is None:
        (installation.folder / "wandb" / "offline-run-1").mkdir(parents=True)
    else:
        installation.write("wandb.py", module)
    code = """
    import wandb
    from _train_supervisor.worker.leaving import leave_preempted
    try:
        wandb.init()
    except Exception as error:
        print(type(error).__name__, error)
    try:
        leave_preempted()
    except SystemExit as end:
        print(end.code)
    """
    with_hook, alone = (
        installation.run(
            "-W", "error", str(installation.write("script.py", text)), python=python,
            environment=installation.environment(hook=on, LOCAL_RANK="0", **OURS),
        )
        for on, text in (
            (True, textwrap.dedent(code)),
            (False, textwrap.dedent(code.split("    try:\n        leave")[0].replace(
                "    from _train_supervisor.worker.leaving import leave_preempted\n", ""))),
        )
    )  # fmt: skip
    assert with_hook.stderr == alone.stderr
    assert with_hook.stdout == f"{alone.stdout}75\n"
    assert not list(installation.heartbeats.glob("describe-*"))


TELLS = """
import sys
import wandb
from _train_supervisor.integrations.training import Training
run = wandb.init({})
training = Training("huggingface", "5.24", "out", None)
from _train_supervisor.integrations import wandb_run
{}
import threading
for thread in threading.enumerate():
    if thread.name == "train-supervisor-wandb":
        thread.join()  # `wandb.init` does not wait for it
wandb_run.training_begins()
wandb_run.training_begins()
print(run.summary)
import atexit
atexit.register(lambda: print(run.marks))
training.stop(None, 3)
"""


def test_the_run_is_told(scripts: Scripts) -> None:
    """The summary at the beginning, the mark at the stop; each once, also for a run with an id."""
    scripts.before(1, lost_steps=0, last_failure=None)
    scripts.before(2, lost_steps=7, last_failure="hang")
    said = scripts.says(TELLS.format("", ""), code_is=75)
    assert said == "{'supervisor/attempt': 1, 'supervisor/lost_steps': 0}\n1"
    for asked in ("id='mine'", ""):
        assert scripts.says(TELLS.format(asked, ""), attempt=2, code_is=75) == (
            "{'supervisor/attempt': 2, 'supervisor/lost_steps': 7,"
            " 'supervisor/last_failure': 'hang'}\n1"
        )
    assert scripts.told(1) == scripts.told(2) == []


def test_a_run_that_is_not_the_global_one(scripts: Scripts) -> None:
    """With `reinit="create_new"` there is no `wandb.run`; after its end nothing more is said."""
    scripts.before(2, lost_steps=7)
    code = """
    import time, wandb
    from _train_supervisor.integrations import wandb_run
    run = wandb.init(reinit="create_new")
    while not run.summary:
        time.sleep(0.01)
    {}
    wandb_run.training_begins()
    wandb_run.mark_preempting()
    print(wandb.run, run.summary["supervisor/lost_steps"], run.marks)
    """
    for first, marks in (("", 1), ("run.finish()", 0)):
        said = scripts.says(textwrap.dedent(code).format(first), attempt=2, RANK="0",
                            TORCHELASTIC_RESTART_COUNT=str(marks))  # fmt: skip
        assert said == f"None 7 {marks}"
    assert scripts.told(2) == []


def test_a_loop_without_adapter_tells_it(scripts: Scripts) -> None:
    """The summary at the first sign of life, the mark where the loop leaves after its own save."""
    scripts.before(2, lost_steps=None, last_failure="killed")
    code = """
    import atexit, os, wandb
    from _train_supervisor.integrations import sign_of_life, sign_stop
    from _train_supervisor.worker.sign_layout import SIGN_BYTES
    run = wandb.init(id="mine")
    sign_of_life.at_first_step()
    print(run.summary)
    atexit.register(lambda: print(run.marks))
    words = memoryview(bytearray(SIGN_BYTES)).cast("Q")
    stop = sign_stop.StopAtSave(os.environ["SUPERVISOR_HEARTBEAT"], words, is_helper=False)
    stop._left_with = 0, 1
    stop.end_at_step()
    """
    said = scripts.says(textwrap.dedent(code), attempt=2, code_is=75)
    assert said == "{'supervisor/attempt': 2, 'supervisor/last_failure': 'killed'}\n1"
    assert scripts.told(2) == []


def test_without_what_the_daemon_writes(scripts: Scripts) -> None:
    """A daemon of an earlier version wrote no file: no summary, and nothing is told."""
    assert scripts.says(TELLS.format("", ""), code_is=75) == "{}\n1"
    assert scripts.told() == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("def mark(): raise OSError('gone')", "mark_preempting: OSError: gone"),
        ("import threading; mark = threading.Event().wait", "mark_preempting within 2 s"),
    ],
)
def test_a_stop_never_waits_for_wandb(scripts: Scripts, fault: str, told: str) -> None:
    """An error of W&B's, or a process of its that stands still: told, and the process ends."""
    code = TELLS.format("id='mine'", f"{fault}\nrun.mark_preempting = mark")
    assert scripts.says(code, code_is=75) == "{}\n0"
    (sentence,) = scripts.told()
    assert told in sentence


def test_a_summary_that_fails(scripts: Scripts) -> None:
    """The training begins all the same."""
    scripts.before(1, lost_steps=0)
    code = TELLS.format("id='mine'", "run.summary = 7")
    assert scripts.says(code, code_is=75) == "7\n1"
    (sentence,) = scripts.told()
    assert "the summary: AttributeError" in sentence


SLOW = """
import threading, time
import wandb
import wandb.sdk.wandb_init as library
gate = threading.Event()
class Summary(dict):
    def update(self, more):
        gate.wait()
        {}
        super().update(more)
class Run(library.Run):
    __module__ = "wandb"
    def __init__(self, *words):
        super().__init__(*words)
        self.summary = Summary()
library.Run = Run
run = wandb.init()
print(run.summary)
gate.set()
while any(thread.name == "train-supervisor-wandb" for thread in threading.enumerate()):
    time.sleep(0.01)
from _train_supervisor.integrations import wandb_run
wandb_run.training_begins()
print(run.summary)
"""


@pytest.mark.parametrize(
    ("fault", "then", "told"),
    [
        ("", "{'supervisor/attempt': 1}", []),
        ("raise OSError('gone')", "{}", ["W&B has not taken the summary: OSError: gone"]),
    ],
)
def test_init_never_waits_for_the_summary(
    scripts: Scripts, fault: str, then: str, told: list[str]
) -> None:
    """It has returned before W&B takes the summary; an error is told when the training begins."""
    scripts.before(1)
    assert scripts.says(SLOW.format(fault)) == f"{{}}\n{then}"
    assert scripts.told() == told


EXIT = """
import sys
codes = []
before = sys.exit
def exit(code=0):
    codes.append(code)
    {}
sys.exit = exit
from _train_supervisor.worker.leaving import leave_preempted
try:
    leave_preempted()
except SystemExit as end:
    print(codes, end.code)
"""


@pytest.mark.parametrize("ending", ["before(code)", "return"])
def test_who_replaces_sys_exit_hears_the_code(scripts: Scripts, ending: str) -> None:
    """W&B takes the run's exit code there. A function that returns does not keep us alive."""
    assert scripts.says(EXIT.format(ending)) == "[75] 75"


def test_integrate_leaves_it_out(scripts: Scripts) -> None:
    """With another adapter alone, or none, `wandb.init` is W&B's own."""
    scripts.before(2, lost_steps=1)
    code = TWICE.format("", "run.finish()") + "print(run.summary)"
    for wanted in ("none", "huggingface"):
        said = scripts.says(code, attempt=2, SUPERVISOR_INTEGRATE=wanted)
        assert said == "ours allow\nours allow\n{}"
