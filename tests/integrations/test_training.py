"""`Training` in real processes: what it tells, whose checkpoint it resumes, and how it stops."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.integrations.record import TrainingName, WriterRecord
from supervisor.worker.page_reading import read_page

from .conftest import NEW_ENOUGH, Installation

BEGIN = """
import os, signal, sys, threading
from _train_supervisor.integrations.training import Training
def begin(directory="out", total=None, framework="huggingface"):
    return Training(framework, "5.24", directory, total)
"""


class Runs:
    """One run of one installation: its record, and scripts that train."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.folder = installation.folder
        self.out = self.folder / "out"
        self.record = WriterRecord(str(self.folder / "run"), 1)

    def does(self, code: str, *, attempt: int = 1, resume: Path | None = None, **more: str) -> str:
        """Run a script as one attempt; what it prints."""
        given = {"SUPERVISOR_ATTEMPT": str(attempt), **more}
        if resume is not None:
            given["SUPERVISOR_RESUME_FROM"] = str(resume)
        environment = self.installation.environment(self.installation.library, **given)
        path = self.installation.write("script.py", BEGIN + code)
        done = self.installation.run(str(path), environment=environment)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()

    def save(self, name: str = "checkpoint-10", directory: str = "out") -> Path:
        """A checkpoint, on disk and on no record."""
        path = self.folder / directory / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "model.bin").write_text(str(time.time()))
        return path

    @property
    def described(self) -> dict[str, Any]:
        """What local rank 0 says of itself."""
        return dict(json.loads((self.installation.heartbeats / "describe-0.json").read_text()))


@pytest.fixture
def runs(installation: Installation) -> Runs:
    """A run without any attempt yet."""
    return Runs(installation)


def test_it_describes_itself(runs: Runs) -> None:
    """The file beside the page has all facts, relative paths made absolute."""
    runs.does(
        """
training = begin("out", 100)
training.beat(7, 0.5, 1.25)
training.describe(best="out/checkpoint-5", notes=["one", "two", "one"])
training.saved("out/checkpoint-7", 7)
"""
    )
    found = runs.described
    assert found.pop("pid") > 0
    assert found == {
        "attempt": 1,
        "framework": "huggingface 5.24",
        "checkpoint_dir": str(runs.out),
        "total_steps": 100,
        "best": str(runs.out / "checkpoint-5"),
        "training": {
            "directory": str(runs.out), "ordinal": 1, "began": 1, "ended": False, "step": 7,
        },
        "resumed_from": None,
        "told": ["one", "two"],
    }  # fmt: skip
    page = read_page(str(runs.installation.heartbeats / "rank-0"))
    assert page is not None
    assert (page.step, page.epoch, page.loss) == (7, 0, 1.25)


@pytest.mark.parametrize("python", NEW_ENOUGH)
def test_each_python(runs: Runs, python: str) -> None:
    """The runtime works in each CPython from 3.9 on, without a warning."""
    code = (
        BEGIN
        + """
t = begin("out", 9); t.beat(1, 0.5); t.enter("save"); t.saved("out/checkpoint-1", 1); t.leave()
print(t.is_supervised, t.may_stop, t.should_stop, t.resume_path(None), t.end())
"""
    )
    said = runs.installation.says(code, "-W", "error", python=python)
    assert said == "True True False (False, None) None"
    assert runs.described["training"]["ended"] is True


def test_nothing_without_a_supervisor(runs: Runs) -> None:
    """No page, no handler, no file; every call is harmless, and `stop` still ends with 75."""
    code = (
        BEGIN
        + """
training = begin()
training.beat(1, 0.1, 0.2); training.enter("eval"); training.leave(); training.leave()
training.saved("x", 1); training.describe(total_steps=1, notes="x"); training.end()
print(training.is_supervised, training.may_stop, training.should_stop, training.resume_path(True))
print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
try:
    training.stop("x", 1)
except SystemExit as error:
    print(error.code)
"""
    )
    environment = runs.installation.environment(runs.installation.library)
    environment.pop("SUPERVISOR_HEARTBEAT")
    said = runs.installation.says(code, environment=environment)
    assert said.split() == ["False", "False", "False", "(False,", "None)", "True", "75"]
    assert list(runs.installation.heartbeats.iterdir()) == []


def test_an_import_attaches_nothing(runs: Runs) -> None:
    """Neither hook nor runtime makes a page before a training begins."""
    runs.does("import transformers.trainer")
    assert list(runs.installation.heartbeats.iterdir()) == []


def test_an_adapter_that_is_not_wanted(runs: Runs) -> None:
    """`integrate: [lightning]`: a training of Hugging Face's is left alone."""
    code = "training = begin(); print(training.is_supervised); training.end()"
    assert runs.does(code, SUPERVISOR_INTEGRATE="lightning") == "False"
    assert runs.does(code, SUPERVISOR_INTEGRATE="lightning,huggingface") == "True"


ASK = "print(*begin(*DIRECTORY).resume_path(ASKED))"


def asked(runs: Runs, value: str, attempt: int, resume: Path | None, **more: str) -> str:
    """What a training in `out` is told to resume from."""
    code = ASK.replace("*DIRECTORY", "'out'").replace("ASKED", value)
    return runs.does(code, attempt=attempt, resume=resume, **more)


def test_first_attempt(runs: Runs) -> None:
    """What the script names stands; what it does not name is the supervisor's checkpoint."""
    found = runs.save()
    assert asked(runs, "None", 1, found) == f"True {found}"
    assert asked(runs, "True", 1, found) == f"True {found}"
    assert asked(runs, "'elsewhere'", 1, found) == "False None"
    assert runs.described["told"] == [
        f"resumed from {runs.folder / 'elsewhere'}, as the script says, and not from {found}"
    ]
    assert asked(runs, "None", 1, None) == "False None"
    assert asked(runs, "True", 1, None) == "False None"  # there is one that nobody chose


def test_the_newest_of_nothing(runs: Runs) -> None:
    """`True` in a directory without a checkpoint begins anew instead of failing."""
    assert asked(runs, "True", 1, None) == "True None"
    (runs.out / "runs" / "events.1").mkdir(parents=True)
    assert asked(runs, "True", 1, None) == "True None"


def test_later_attempts(runs: Runs) -> None:
    """This run's own checkpoint replaces what the script names, and that is told."""
    runs.save("given", "elsewhere")
    found = runs.save()
    runs.does("training = begin(); training.saved('out/checkpoint-10', 10)")
    assert asked(runs, "'elsewhere/given'", 2, found) == f"True {found}"
    assert runs.described["resumed_from"] == str(found)
    assert runs.described["told"] == [
        f"resumed from {found}, and not from {runs.folder}/elsewhere/given, which the script names"
    ]


def test_a_checkpoint_from_before_the_run(runs: Runs) -> None:
    """In a later attempt an explicit path stands against a checkpoint that is not this run's."""
    found = runs.save()
    os.utime(found / "model.bin", (1e9, 1e9))
    os.utime(found, (1e9, 1e9))
    runs.does("begin()")
    assert asked(runs, "'elsewhere'", 2, found) == "False None"
    assert asked(runs, "None", 2, found) == f"True {found}"


def test_resume_args_and_scripts_that_read(runs: Runs) -> None:
    """Where the configuration or the script tells the trainer, an adapter says nothing."""
    found = runs.save()
    assert asked(runs, "None", 2, found, SUPERVISOR_RESUME_ARGS="1") == "False None"
    code = f"""
sys.path.insert(0, {str(runs.installation.package.parent)!r})
from supervisor.worker import attach
run = attach()
print(begin().resume_path(None))
run.resume_from
print(begin().resume_path(None))
"""
    said = runs.does(code, attempt=2, resume=found).splitlines()
    assert said == [f"(True, '{found}')", "(False, None)"]


@pytest.mark.parametrize("of", [1, 2])
def test_two_stages(runs: Runs, of: int) -> None:
    """A checkpoint of one stage is injected into no other."""
    code = """
for stage in ("one", "two"):
    training = begin(stage)
    print(*training.resume_path(None))
    training.saved(f"{stage}/checkpoint-10", 10)
    training.end()
"""
    places = [runs.save(directory=name) for name in ("one", "two")]
    runs.does(code)
    said = runs.does(code, attempt=2, resume=places[of - 1]).splitlines()
    expected = ["False None", "False None"]
    expected[of - 1] = f"True {places[of - 1]}"
    assert said == expected
    repeated = [told for told in runs.described["told"] if "repeated" in told]
    assert len(repeated) == 1


@pytest.mark.parametrize("of", [1, 2, 3])
def test_three_folds_in_one_directory(runs: Runs, of: int) -> None:
    """Trainings with one directory are told apart by their ordinal."""
    code = """
for fold in range(1, 4):
    training = begin("out")
    print(*training.resume_path(None))
    if fold <= LAST:
        os.makedirs(f"out/checkpoint-{fold}", exist_ok=True)
        training.saved(f"out/checkpoint-{fold}", fold)
    training.end()
"""
    runs.does(code.replace("LAST", str(of)))
    found = runs.out / f"checkpoint-{of}"
    said = runs.does(code.replace("LAST", "0"), attempt=2, resume=found).splitlines()
    assert said == [f"True {found}" if fold == of else "False None" for fold in (1, 2, 3)]


@pytest.mark.parametrize("skips", [False, True])
def test_a_finished_stage_that_may_be_skipped(runs: Runs, *, skips: bool) -> None:
    """A checkpoint of a stage that had ended is told to be one: the script may skip the stage."""
    found = runs.save()
    runs.does("first = begin(); first.saved('out/checkpoint-10', 10)" + ("; begin()" * skips))
    runs.does("print(*begin().resume_path(None))", attempt=2, resume=found)
    told = [one for one in runs.described["told"] if "if the script has skipped it" in one]
    assert len(told) == skips


def test_a_name_that_two_folds_wrote(runs: Runs) -> None:
    """If a later fold may have written it anew without a record, nobody resumes from it."""
    found = runs.save()
    runs.does("begin().saved('out/checkpoint-10', 10); begin()")
    runs.save()
    ask = "first = begin(); print(*first.resume_path(None)); print(*begin().resume_path(None))"
    assert runs.does(ask, attempt=2, resume=found).splitlines() == ["False None"] * 2
    assert "it is not sure which training wrote" in runs.described["told"][0]


def test_other_ranks_finish_a_moment_later(runs: Runs) -> None:
    """Files that other ranks add after the record change nothing, if no training began before."""
    found = runs.save()
    code = """
import time
begin(); second = begin(); second.saved("out/checkpoint-10", 10)
time.sleep(0.05); open("out/checkpoint-10/rng_state_1.pth", "w").close(); time.sleep(0.05)
"""
    runs.does(code)
    ask = "print(*begin().resume_path(None)); print(*begin().resume_path(None))"
    said = runs.does(ask, attempt=2, resume=found).splitlines()
    assert said == ["False None", f"True {found}"]


def test_a_crash_between_save_and_record(runs: Runs) -> None:
    """A checkpoint on no record is the first training's, unless a second one had begun there."""
    runs.does("begin()")
    found = runs.save()
    assert asked(runs, "None", 2, found) == f"True {found}"
    assert asked(runs, "'given'", 2, found).startswith("False")  # saved within the clocks' skew
    runs.does("begin(); begin()")
    assert asked(runs, "None", 3, found) == "False None"


def test_a_directory_inside_another(runs: Runs) -> None:
    """A checkpoint of `out/two` that is on no record is not one of `out`."""
    found = runs.save(directory="out/two")
    assert asked(runs, "None", 2, found) == "False None"
    code = "print(*begin('out/two').resume_path(None))"
    assert runs.does(code, attempt=2, resume=found) == f"True {found}"


def test_the_folders_of_lightning(runs: Runs) -> None:
    """A checkpoint on no record below `version_0/checkpoints` is of the training above it."""
    runs.does("begin()")
    found = runs.save("epoch=1-step=5.ckpt", "out/lightning_logs/version_0/checkpoints")
    assert asked(runs, "None", 2, found) == f"True {found}"


def test_a_symbolic_link(runs: Runs) -> None:
    """Directories and checkpoints are compared by what they really are."""
    real = runs.save(directory="real")
    runs.out.symlink_to("real")
    runs.does("begin().saved('out/checkpoint-10', 10)")
    found = runs.out / "checkpoint-10"
    assert asked(runs, "None", 2, found) == f"True {found}"
    of_real = TrainingName(str(runs.folder / "real"), 1)
    assert runs.record.writer_of(str(real), TrainingName("", 1)) == of_real


def test_other_ranks_write_no_record(runs: Runs) -> None:
    """Only global rank 0 writes; all ranks resume from the same."""
    found = runs.save()
    runs.does("begin().saved('out/checkpoint-10', 10)", RANK="1", LOCAL_RANK="1")
    assert not list((runs.folder / "run" / ".supervisor").iterdir())
    assert asked(runs, "None", 2, found, RANK="1", LOCAL_RANK="1") == f"True {found}"


def test_a_torn_line(runs: Runs) -> None:
    """A line that a full disk cut short is left out, and the next line is whole."""
    runs.save()
    path = runs.folder / "run" / ".supervisor" / "trainings.jsonl"
    path.write_text('{"attempt": 1, "direct')
    runs.does("begin().saved('out/checkpoint-10', 10)")
    first, second = path.read_text().splitlines()
    assert first == '{"attempt": 1, "direct'
    line = json.loads(second)
    assert line["checkpoint"] == str(runs.out / "checkpoint-10")
    assert (line["attempt"], line["ordinal"], line["step"]) == (1, 1, 10)
    assert path.with_name("trainings-begun.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_record_that_cannot_be_written(runs: Runs) -> None:
    """It is told, and the training goes on."""
    (runs.folder / "run" / ".supervisor").rmdir()
    assert (
        runs.does("t = begin(); t.saved('out/checkpoint-1', 1); print(t.is_supervised)") == "True"
    )
    assert "is not on record" in runs.described["told"][0]


def test_phases_that_are_never_left(runs: Runs) -> None:
    """An evaluation that raised ends with the next step; phases nest, and `end` means final."""
    code = """
from _train_supervisor.worker import rank
def shown(): return rank._worker._page.phase.word
t = begin(); t.beat(1)
t.enter("eval"); t.enter("save"); said = [shown()]; t.leave(); said.append(shown())
t.beat(1); said.append(shown())
t.beat(2); said.append(shown())
t.leave(); t.end(); t.end(); said.append(shown())
t = begin(); said.append(shown()); t.beat(1); t.enter("never"); said.append(shown())
print(*said)
"""
    assert runs.does(code) == "save eval eval step final step step"
    assert "the phase never cannot be told" in runs.described["told"][0]


def test_stop_by_signal(runs: Runs) -> None:
    """A stop shows in `should_stop`; `stop` ends with 75, the checkpoint in the page."""
    code = """
t = begin(); t.beat(3)
print(t.may_stop, t.should_stop)
os.kill(os.getpid(), signal.SIGTERM)
print(t.should_stop)
signal.signal(signal.SIGTERM, lambda *_: None)
print(t.should_stop)
try:
    t.stop("out/checkpoint-3", 3)
finally:
    os._exit(sys.exc_info()[1].code - 75)
"""
    runs.installation.write("script.py", BEGIN + code)
    done = runs.installation.run("-u", "script.py")
    assert (done.returncode, done.stdout.split(), done.stderr) == (
        0, ["True", "False", "True", "True"], "",
    )  # fmt: skip
    page = read_page(str(runs.installation.heartbeats / "rank-0"))
    assert page is not None
    assert page.outcome == (75, 3, str(runs.out / "checkpoint-3"))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_handler_of_the_scripts(runs: Runs, when: str) -> None:
    """It is never replaced; the adapter then leaves stops to the script, and asks for none."""
    handle = "signal.signal(signal.SIGTERM, mine)"
    code = f"""
def mine(*_): print("mine")
{handle if when == "before" else ""}
t = begin()
{handle if when == "after" else ""}
print(t.may_stop, signal.getsignal(signal.SIGTERM) is mine)
os.kill(os.getpid(), signal.SIGTERM)
print(t.should_stop)
"""
    assert runs.does(code).split() == ["False", "True", "mine", "False"]


def test_the_launcher_gives_a_script_its_signal(runs: Runs) -> None:
    """A page that nobody reads for a stop says so: the launcher sends the signal then."""
    code = """
signal.signal(signal.SIGTERM, lambda *_: None)
t = begin(); t.beat(1); t.should_stop
"""
    runs.does(code)
    raw = (runs.installation.heartbeats / "rank-0").read_bytes()
    assert raw[47] == 0
    runs.does("t = begin(); t.beat(1); t.should_stop")
    assert (runs.installation.heartbeats / "rank-0").read_bytes()[47] == 1


def test_a_thread(runs: Runs) -> None:
    """A training outside the main thread is seen, takes no signal, and is told to be so."""
    code = """
def train():
    t = begin(); t.beat(5)
    print(t.is_supervised, t.may_stop, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
thread = threading.Thread(target=train); thread.start(); thread.join()
"""
    assert runs.does(code) == "True False True"
    assert "not run in the main thread" in runs.described["told"][0]


SHARED = """
sys.path.insert(0, PACKAGE)
def attach():
    from supervisor.worker import attach
    run = attach()
    return run
"""


@pytest.mark.parametrize("order", ["script first", "adapter first", "imported first"])
def test_one_page_with_the_scripts_worker(runs: Runs, order: str) -> None:
    """Whoever attaches first, both write one page, and the script's stops are its own."""
    steps = {
        "script first": "run = attach(); t = begin()",
        "adapter first": "t = begin(); run = attach()",
        "imported first": "import supervisor.worker.rank; t = begin(); run = attach()",
    }
    code = f"""
{SHARED.replace("PACKAGE", repr(str(runs.installation.package.parent)))}
{steps[order]}
run.beat(step=4); t.beat(5)
print(run.attached, t.is_supervised, t.may_stop)
run.describe(total_steps=9, best="b")
os.kill(os.getpid(), signal.SIGTERM)
print(run.should_stop, t.may_stop, t.should_stop)
"""
    assert runs.does(code).split() == ["True", "True", "True", "True", "False", "False"]
    page = read_page(str(runs.installation.heartbeats / "rank-0"))
    assert page is not None
    assert (page.step, page.beats) == (5, 2)
    assert runs.described["total_steps"] == 9
    assert runs.described["framework"] == "huggingface 5.24"


def test_the_norm_of_the_gradient(runs: Runs) -> None:
    """The page has it; a worker of an earlier version, which takes none, gets the rest."""
    shown = f"""
sys.path.insert(0, {str(runs.installation.package.parent)!r})
from supervisor.worker.page_reading import read_page
def shown():
    page = read_page(os.environ["SUPERVISOR_HEARTBEAT"] + "/rank-0")
    return page.step, page.loss, page.grad_norm
"""
    code = f"{shown}\nt = begin(); t.beat(1, 0.5, 2.0, 3.0); print(*shown())"
    assert runs.does(code) == "1 2.0 3.0"
    code = f"""{shown}
from supervisor.worker import rank
worker = rank.attach()
new = worker.beat
def beat(step, epoch=-1, loss=float("nan")):
    new(step, epoch, loss)
worker.beat = beat
t = begin(); t.beat(1, 0.5, 2.0, 3.0); print(*shown())
"""
    assert runs.does(code) == "1 2.0 None"
    assert runs.described["told"] == []


def test_the_script_attaches_after_an_adapter(runs: Runs) -> None:
    """`attach()` takes the signals as ever, also those that the adapter has left alone."""
    code = f"""
{SHARED.replace("PACKAGE", repr(str(runs.installation.package.parent)))}
signal.signal(signal.SIGUSR1, lambda *_: print("replaced"))
t = begin(); run = attach()
os.kill(os.getpid(), signal.SIGUSR1)
print(run.should_stop)
"""
    assert runs.does(code) == "True"


def test_a_bystander(runs: Runs) -> None:
    """A helper that trains while the trainer lives injects nothing, and writes over nothing."""
    found = runs.save()
    code = """
import subprocess
t = begin("out", 100); t.beat(1)
if "HELPER" not in os.environ:
    subprocess.run([sys.executable, __file__], env={**os.environ, "HELPER": "1"}, check=True)
else:
    t.end()
    print(t.is_supervised, t.resume_path(None), t.should_stop)
"""
    assert runs.does(code, attempt=2, resume=found) == "False (False, None) False"
    assert runs.described["training"]["ended"] is False


def test_a_forked_child(runs: Runs) -> None:
    """A forked child has no part in the training: it describes nothing and injects nothing."""
    found = runs.save()
    code = """
t = begin("out", 100); t.beat(1)
if os.fork() == 0:
    t.describe(total_steps=1); other = begin("other")
    print(other.is_supervised, other.resume_path(None), flush=True)
    os._exit(0)
os.wait()
"""
    assert runs.does(code, attempt=2, resume=found) == "False (False, None)"
    assert runs.described["total_steps"] == 100


def test_under_its_public_name(runs: Runs) -> None:
    """An adapter that the script imports itself shares page, ordinals and description."""
    code = f"""
sys.path.insert(0, {str(runs.installation.package.parent)!r})
from supervisor.integrations.training import Training as Public
one = begin(); two = Public("huggingface", "5.24", "out", None); three = begin()
two.beat(3)
print(one.name.ordinal, two.name.ordinal, three.name.ordinal, two.is_supervised)
"""
    assert runs.does(code) == "1 2 3 True"
    assert len(list(runs.installation.heartbeats.glob("describe-*"))) == 1


def test_a_full_or_missing_heartbeat_directory(runs: Runs) -> None:
    """Nothing is printed and nothing raised; the training is then not supervised."""
    code = "t = begin(); t.beat(1); t.saved('x', 1); print(t.is_supervised, t.should_stop)"
    assert runs.does(code, SUPERVISOR_HEARTBEAT="/nonexistent/folder") == "False False"


@pytest.mark.parametrize("is_before", [False, True], ids=["signal after", "signal before"])
@pytest.mark.parametrize("fails", ["guard", "event", "begin"])
def test_a_signal_to_a_training_whose_adapter_has_failed(
    runs: Runs, fails: str, is_before: bool
) -> None:
    """It ends the process, as it does without an adapter, and the failure is told before."""
    code = f"""
from _train_supervisor.integrations.lightning_guard import tells
from _train_supervisor.integrations.trainer_events import TrainerEvents
from _train_supervisor.integrations import record
def send():
    os.kill(os.getpid(), signal.SIGTERM)
class Fit:
    is_off = False
    @tells
    def step(self):
        raise ValueError("of the adapter")
def began(self, *given):
    {"send()" if is_before else "pass"}
    raise ValueError("of the adapter")
if {fails == "begin"}:
    record.WriterRecord.began = began
t = begin()
if {is_before and fails != "begin"}:
    send()
if {fails == "guard"}:
    fit = Fit()
    fit.training = t
    fit.step()
if {fails == "event"}:
    events = TrainerEvents()
    events._training = t
    events._give_up(ValueError("of the adapter"))
send()
print("goes on")
"""
    path = runs.installation.write("script.py", BEGIN + code)
    environment = runs.installation.environment(runs.installation.library)
    done = runs.installation.run(str(path), environment=environment)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, ""), done.stderr
    told = " ".join(runs.described["told"])
    assert "is off" in told
    assert "ValueError: of the adapter" in told
