"""Signs of life of plain torch loops, by the start-up hook, in real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from supervisor.worker.sign_layout import SIGN, SIGN_BYTES, SIGN_PREFIX

from .conftest import NEW_ENOUGH, Installation
from .trainers import ONE_THREAD, SCRIPTS

pytestmark = pytest.mark.timeout(700)
BEGIN = """
import os, signal, sys, time
import torch

def new(kind="SGD", **more):
    global model
    model = torch.nn.Linear(2, 1)
    return getattr(torch.optim, kind)(model.parameters(), lr=0.01, **more)

def step(optimizer, backward=1):
    optimizer.zero_grad()
    for _ in range(backward):
        model(torch.ones(3, 2)).sum().backward()
    optimizer.step()
"""


class Sign(NamedTuple):
    """One file."""

    magic: bytes
    version: int
    pid: int
    local_rank: int
    start_ticks: int
    attempt: int
    count: int
    last_ns: int
    longest_gap_ns: int
    phase: int
    phase_since_ns: int
    stop: int


def signs(folder: Path) -> list[Sign]:
    """All signs there, in the order of their processes."""
    found = []
    for path in folder.glob(f"{SIGN_PREFIX}*"):
        assert path.stat().st_mode & 0o777 == 0o600
        data = path.read_bytes()
        assert len(data) == SIGN_BYTES
        found.append(Sign(*SIGN.unpack_from(data)))
    return sorted(found, key=lambda sign: sign.pid)


class Loops:
    """Scripts with plain loops, run as one attempt."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.heartbeats = installation.heartbeats

    def environment(self, **more: str) -> dict[str, str]:
        """As a supervised command has it."""
        mine = {**ONE_THREAD, "SUPERVISOR_LAUNCHER": f"{os.getpid()}:0", **more}
        return self.installation.environment(**mine)

    def does(self, code: str, *words: str, **more: str) -> str:
        """Run a script to its end; what it prints."""
        path = self.installation.write("script.py", BEGIN + code)
        done = self.installation.run(*words, str(path), environment=self.environment(**more))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()

    @property
    def signs(self) -> list[Sign]:
        """All signs."""
        return signs(self.heartbeats)

    @property
    def described(self) -> dict[str, Any]:
        """What local rank 0 says of itself; empty if it says nothing."""
        path = self.heartbeats / "describe-0.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}


@pytest.fixture
def loops(installation: Installation) -> Loops:
    """An attempt in which nothing has run."""
    return Loops(installation)


def test_each_step_is_a_sign(loops: Loops) -> None:
    """One a step, whatever the optimizer; none for a step that the scaler leaves out."""
    said = loops.does(
        """
import glob, struct
def count():
    (path,) = glob.glob(os.environ["SUPERVISOR_HEARTBEAT"] + "/sign-*")
    with open(path, "rb") as file:
        return struct.unpack_from("<Q", file.read(), 32)[0]
first = new()
assert not glob.glob(os.environ["SUPERVISOR_HEARTBEAT"] + "/*")
for _ in range(3):
    step(first, backward=4)
seen = [count()]
second = new("AdamW")
step(first); step(second); seen.append(count())
lbfgs = new("LBFGS", max_iter=5)
def closure():
    lbfgs.zero_grad()
    loss = (model(torch.ones(3, 2)) - 7).pow(2).sum()
    loss.backward()
    return loss
lbfgs.step(closure); seen.append(count())
third, scaler = new(), torch.amp.GradScaler("cpu")
for factor in (float("inf"), 1.0):
    third.zero_grad()
    scaler.scale(model(torch.ones(3, 2)).sum() * factor).backward()
    scaler.step(third); scaler.update()
    seen.append(count())
time.sleep(0.3)
step(third)
print(seen, os.getpid())
"""
    )
    assert said.rpartition(" ")[0] == "[3, 5, 6, 6, 7]"
    (sign,) = loops.signs
    assert (sign.magic, sign.version, sign.pid) == (b"TSSG", 1, int(said.split()[-1]))
    assert (sign.local_rank, sign.attempt, sign.count, sign.stop) == (0, 1, 8, 0)
    assert sign.start_ticks > 0
    assert 0.3e9 <= sign.longest_gap_ns < 60e9
    framework = loops.described["framework"]
    assert framework.startswith("torch ")
    assert framework.endswith(", sign of life")
    assert loops.described["checkpoint_dir"] is None
    assert loops.described["told"] == []
    assert not list(loops.heartbeats.glob("rank-*"))


def test_its_arguments_are_not_looked_at(loops: Loops) -> None:
    """Optimizer and tensors may be of classes that raise whatever is done with them."""
    loops.does(
        """
from torch.optim.optimizer import _global_optimizer_post_hooks
class Raises:
    def __getattribute__(self, name): raise AssertionError(name)
    def __bool__(self): raise AssertionError
    def __iter__(self): raise AssertionError
(hook,) = _global_optimizer_post_hooks.values()
hook(Raises(), Raises(), Raises())
hook(Raises(), Raises(), Raises())
"""
    )
    (sign,) = loops.signs
    assert sign.count == 2


def test_processes_that_train_and_that_do_not(loops: Loops) -> None:
    """A forked or spawned child that trains has a file of its own; loader workers have none."""
    said = loops.does(
        """
import torch.multiprocessing as multiprocessing
from torch.utils.data import DataLoader, Dataset

class Trains(Dataset):
    def __len__(self): return 4
    def __getitem__(self, index):
        step(new())
        return float(os.getpid())

def trains(queue, times):
    optimizer = new()
    for _ in range(times):
        step(optimizer)
    queue.put(os.getpid())

if __name__ == "__main__":
    optimizer = new()
    for _ in range(5):
        step(optimizer)
    print(os.getpid())
    for kind, times in (("fork", 2), ("spawn", 3), ("fork", 0)):
        context = multiprocessing.get_context(kind)
        queue = context.Queue()
        child = context.Process(target=trains, args=(queue, times))
        child.start(); print(queue.get()); child.join()
        assert child.exitcode == 0
    for kind in ("fork", "spawn"):
        loader = DataLoader(Trains(), num_workers=1, multiprocessing_context=kind)
        (worker,) = {pid.item() for pid in loader}
        assert worker != os.getpid()
    child = os.fork()
    if child == 0:
        step(new())
        os._exit(0)
    print(child); os.waitpid(child, 0)
    step(optimizer)
"""
    )
    parent, forked, spawned, idle, raw = map(int, said.split())
    counts = {sign.pid: sign.count for sign in loops.signs}
    assert counts == {parent: 6, forked: 2, spawned: 3, raw: 1}
    assert idle not in counts
    assert loops.described["pid"] == parent


@pytest.mark.parametrize("how", ["none", "others", "replaced", "isolated", "unsupervised"])
def test_nothing_where_it_is_not_wanted(loops: Loops, how: str) -> None:
    """`integrate`, a replaced PYTHONPATH, `-I`, no supervisor: no file, and torch as it is."""
    code = """
import sys
step(new())
print(len(sys.modules["torch.optim.optimizer"]._global_optimizer_post_hooks))
"""
    path = loops.installation.write("script.py", BEGIN + code)
    environment = loops.environment()
    if how == "none":
        environment["SUPERVISOR_INTEGRATE"] = "none"
    if how == "others":
        environment["SUPERVISOR_INTEGRATE"] = "huggingface,wandb"
    if how == "replaced":
        environment["PYTHONPATH"] = str(loops.installation.library)
    if how == "unsupervised":
        del environment["SUPERVISOR_HEARTBEAT"]
    words = ["-I"] if how == "isolated" else []
    done = loops.installation.run(*words, str(path), environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
    assert list(loops.heartbeats.iterdir()) == []


def test_programs_that_deal_with_torchs_hooks(loops: Loops) -> None:
    """Hooks may be listed, cleared and copied, and optimizers pickled."""
    loops.does(
        """
import copy, io, pickle
from torch.optim.optimizer import _global_optimizer_post_hooks as hooks
from torch.optim.optimizer import register_optimizer_step_post_hook as register
optimizer = new("AdamW")
step(optimizer)
assert len(hooks) == 1 and callable(list(hooks.values())[0])
assert pickle.loads(pickle.dumps(list(hooks.values())[0])) is list(hooks.values())[0]
assert copy.deepcopy(hooks) == hooks
copied = pickle.loads(pickle.dumps(optimizer))
assert copy.deepcopy(optimizer).state_dict().keys() == copied.state_dict().keys()
torch.save(optimizer, io.BytesIO())
seen = []
handle = register(lambda *_: seen.append(1))
step(optimizer)
handle.remove()
assert seen == [1]
hooks.clear()
step(optimizer)
assert not hooks
"""
    )
    (sign,) = loops.signs
    assert sign.count == 2


ATTACH = "sys.path.insert(0, PACKAGE)\nfrom supervisor.worker import attach\n"


def attaches(loops: Loops, code: str) -> str:
    """A script that imports `supervisor.worker` itself."""
    package = repr(str(loops.installation.package.parent))
    return loops.does(ATTACH.replace("PACKAGE", package) + code)


def test_a_page_speaks_alone(loops: Loops) -> None:
    """A script that attaches gives no signs; if it attaches late, its file is taken away."""
    attaches(loops, "run = attach(); step(new()); run.beat(step=1)")
    assert loops.signs == []
    attaches(loops, "optimizer = new(); step(optimizer); run = attach(); step(optimizer)\n"
             "time.sleep(1.1); step(optimizer); step(optimizer)")  # fmt: skip
    assert loops.signs == []
    assert list(loops.heartbeats.glob("rank-*"))


def test_an_adapters_training_speaks_alone(loops: Loops) -> None:
    """Once a `Training` has begun there is no sign, and SIGTERM is the training's."""
    (loops.heartbeats / "next-save.json").write_text(
        json.dumps(
            {"interval_s": 1.0, "since_s_monotonic": 0.0, "grace_s": 9.0, "stop_s_monotonic": None}
        )
    )
    said = loops.does(
        """
optimizer = new()
step(optimizer)
assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
from _train_supervisor.integrations.training import Training
training = Training("huggingface", "5", "out", 10)
print(training.is_supervised, training.may_stop)
step(optimizer)
"""
    )
    assert said == "True True"
    assert loops.signs == []
    assert loops.described["framework"] == "huggingface 5"


@pytest.mark.parametrize("how", ["missing", "file", "full"])
def test_a_directory_that_takes_no_file(loops: Loops, how: str) -> None:
    """Training goes on unharmed, and nothing is printed."""
    more = {}
    if how == "missing":
        more["SUPERVISOR_HEARTBEAT"] = str(loops.installation.folder / "absent")
    if how == "file":
        more["SUPERVISOR_HEARTBEAT"] = str(loops.installation.write("file", ""))
    code = """
import resource
optimizer = new()
if HOW == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
for _ in range(3):
    step(optimizer)
print("trained")
"""
    assert loops.does(code.replace("HOW", repr(how)), **more) == "trained"
    assert not list(loops.heartbeats.glob("*sign-*"))


@pytest.mark.parametrize("version", ["1.13.1", "2.13.0"])
def test_a_torch_that_cannot_tell(loops: Loops, version: str) -> None:
    """Without the function, the adapter is off; told once."""
    loops.installation.write("old/torch/__init__.py", f"__version__ = {version!r}\n"
                             "from torch.optim import optimizer")  # fmt: skip
    loops.installation.write("old/torch/optim/__init__.py", "")
    loops.installation.write("old/torch/optim/optimizer.py", "class Optimizer: pass")
    environment = loops.environment()
    environment["PYTHONPATH"] += os.pathsep + str(loops.installation.folder / "old")
    done = loops.installation.run("-c", "import torch; print(torch.optim.optimizer.Optimizer)",
                                  environment=environment)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert loops.described["told"] == [
        f"the adapter for torch is off: RuntimeError: torch {version} cannot tell of its steps:"
        " 2.2 or newer does"
    ]


def test_imports_are_recorded_once(loops: Loops) -> None:
    """At the first step of a process that the launcher started, and not at a later beat."""
    record = loops.installation.folder / "imports.json"
    keeps = f"assert os.path.isfile({str(record)!r}); os.rename({str(record)!r}, 'kept')\n"
    attaches_late = "optimizer = new()\nimport wave\nstep(optimizer)\n" + keeps
    package = repr(str(loops.installation.package.parent))
    attaches_late += ATTACH.replace("PACKAGE", package) + "attach().beat(step=1); step(optimizer)\n"
    loops.does(attaches_late, SUPERVISOR_IMPORTS=str(record))
    assert not record.exists()
    found = json.loads((loops.installation.folder / "kept").read_text())
    names = {line.partition("\t")[0] for line in found["modules"].splitlines()}
    assert {"torch", "torch._dynamo", "wave"} <= names
    loops.does("step(new())", SUPERVISOR_IMPORTS=str(record), SUPERVISOR_LAUNCHER="1:0")
    assert not record.exists()


@pytest.mark.parametrize("what", ["plain", "step", "whole"])
def test_compiled_training_is_compiled_as_without(loops: Loops, what: str) -> None:
    """As many graphs, breaks, recompilations and warnings, and the same weights."""
    script = str(SCRIPTS / "compiled_counts.py")
    hooked = loops.environment()
    bare = {name: hooked[name] for name in hooked if not name.startswith(("SUPERVISOR", "PYTHONP"))}
    found = [
        subprocess.run([sys.executable, script, what], env=environment, cwd=loops.heartbeats.parent,
                       capture_output=True, text=True, check=True, timeout=280)
        for environment in (hooked, bare)
    ]  # fmt: skip
    counts, without = (json.loads(done.stdout) for done in found)
    assert counts == without
    assert counts["graphs"] >= 2
    assert len(found[0].stderr.splitlines()) == len(found[1].stderr.splitlines())
    if what == "plain":
        (sign,) = loops.signs
        assert sign.count == 6


@pytest.fixture(scope="module")
def stops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of all cases of a stop; torch is imported once."""
    loops = Loops(Installation(tmp_path_factory.mktemp("stops")))
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "stop_cases.py")], env=loops.environment(),
        cwd=loops.installation.folder, capture_output=True, text=True, timeout=680, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("case", "handled", "after_one", "end"),
    [
        # The next save is expected within the grace: training goes on until a second SIGTERM.
        ("due", 1, 2, -15),
        ("twice", 1, 2, -15),
        ("late", 1, 2, -15),
        # It is expected later than that, or so late that it may not come: the process ends at once.
        ("not_due", 1, None, -15),
        ("within_the_margin", 1, None, -15),
        ("overdue", 1, None, -15),
        ("no_save_yet", 1, None, -15),
        ("gone", 1, None, -15),
        # Nobody knows how long it is from save to save: SIGTERM is not touched.
        ("no_file", 0, None, -15),
        ("no_interval", 0, None, -15),
        ("torn", 0, None, -15),
        # The script has a handler of its own, set before or after, which may call the one before.
        ("own_before", 0, 0, 3),
        ("own_after", 0, 0, 3),
        ("own_chained", 0, 0, 3),
        ("ignored", 0, 0, 0),
        # A child that a training process forks, and a child of multiprocessing.
        ("helper", 0, None, -15),
        ("multiprocessing", 0, None, -15),
        # SLURM signals the loop before the supervisor says that it stops the run.
        ("announced_later", 1, 2, -15),
        # It is not the supervisor's stop: `kill`, `timeout`, torchrun when a rank has crashed.
        ("not_announced", 1, None, -15),
        ("not_announced_after_the_loop", 1, None, -15),
        # The supervisor is no more: nobody sends the second SIGTERM.
        ("grace_over", 1, 2, -15),
    ],
)
def test_a_stop(
    stops: dict[str, Any], case: str, handled: int, after_one: int | None, end: int
) -> None:
    """The word `stop` before and after one SIGTERM (None: it has ended), and how it ends."""
    assert stops[case] == [handled, after_one, end]


def test_it_says_that_it_ends(stops: dict[str, Any]) -> None:
    """A process that ends at once has said so, for the daemon to read."""
    assert stops["words_after_the_end"]["not_due"] == 3
    assert stops["words_after_the_end"]["due"] == 3
    assert stops["words_after_the_end"]["no_file"] == 0


@pytest.mark.parametrize("python", NEW_ENOUGH)
def test_each_python(loops: Loops, python: str) -> None:
    """The writer works in each CPython from 3.9 on, without a warning."""
    code = """
import os
from _train_supervisor.integrations import sign_of_life
sign = sign_of_life.of_process()
sign.describe("torch 2.13.0, sign of life")
sign.sign(); sign.enter(1); sign.leave(is_saved=True); sign.sign()
sign.stop.leave_after_save(1)
print(os.getpid())
"""
    said = loops.installation.says(code, "-W", "error", python=python)
    (sign,) = loops.signs
    assert (sign.pid, sign.count, sign.phase) == (int(said), 4, 0)
