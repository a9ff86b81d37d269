"""The surveyor's child: killed, lost on a stalled disk, or left behind by a dead daemon."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from supervisor.checkpoint.records import Remembered
from supervisor.core.events import Surveyed, SurveyFailed
from supervisor.core.history import History
from supervisor.daemon.look.attempt_times import AttemptTimes
from supervisor.daemon.look.survey_child import LEFT_S
from supervisor.daemon.look.surveyor import Answer, Surveyor


def surveyor(folder: Path) -> Surveyor:
    """A surveyor of an empty directory."""
    (folder / "checkpoints").mkdir(exist_ok=True)
    return Surveyor(folder / "checkpoints", folder / "shm", run_id="r", existing=None, memory={})


def answer(one: Surveyor) -> Answer:
    """Wait for the answer."""
    deadline = time.monotonic() + 90
    while (found := one.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


class Deaf(subprocess.Popen[bytes]):
    """A child in uninterruptible sleep: SIGKILL is pending, and it stays."""

    def kill(self) -> None:
        """Do nothing."""


def test_child_that_survives_a_kill_is_not_waited_for(tmp_path: Path) -> None:
    """A stop or the next survey must not wait for a disk that does not answer."""
    one = surveyor(tmp_path)
    child = Deaf([sys.executable, "-c", "import time; time.sleep(60)"])
    one._child._process = child
    one._child.is_asked = True
    begun = time.monotonic()
    one.cancel()
    assert time.monotonic() - begun < LEFT_S + 20
    assert not one.is_busy
    assert one.begin(deciding=True, pins=frozenset(), times=AttemptTimes()) is None
    assert isinstance(answer(one).event, Surveyed)
    one.cancel()
    subprocess.Popen.kill(child)
    child.wait()


def test_answer_is_not_written_over_by_the_child_of_a_dead_daemon(tmp_path: Path) -> None:
    """Each surveyor's child has a file of its own for its answer."""
    one = surveyor(tmp_path)
    assert one.begin(deciding=True, pins=frozenset(), times=AttemptTimes()) is None
    script = (
        "import sys, os\n"
        "from pathlib import Path\n"
        "from supervisor.daemon.look.attempt_times import AttemptTimes\n"
        "from tests.daemon.test_surveyor import surveyor, answer\n"
        "one = surveyor(Path(sys.argv[1]))\n"
        "one.begin(deciding=False, pins=frozenset(), times=AttemptTimes())\n"
        "print(one._child.file('answer').name)\n"
        "answer(one)\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() != one._child.file("answer").name
    assert isinstance(answer(one).event, Surveyed)
    one.cancel()
    left = [path.name for path in (tmp_path / "shm").iterdir()]
    assert [name for name in left if not name.endswith("-errors")] == []


def test_what_a_trainer_pruned_is_not_remembered_for_ever(tmp_path: Path) -> None:
    """A trainer rotates its checkpoints for weeks: memory and requests stay small."""
    known = Remembered("f", True, "files", None, {}, 5, None, None, 1)
    one = surveyor(tmp_path)
    one._memory[str(tmp_path / "checkpoints" / "checkpoint-5")] = known
    assert one.begin(deciding=True, pins=frozenset(), times=AttemptTimes()) is None
    assert answer(one).gone == (str(tmp_path / "checkpoints" / "checkpoint-5"),)
    assert not one._memory
    one.cancel()


def test_what_was_pruned_is_no_news_while_its_removal_is_under_way(tmp_path: Path) -> None:
    """A pruned checkpoint is not reported again as valid or gone; a new one of its name is."""
    made = tmp_path / "checkpoints" / "checkpoint-5"
    made.mkdir(parents=True)
    (made / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    time.sleep(2.1)  # verdicts on younger files are not kept
    one = surveyor(tmp_path)

    def news() -> list[str]:
        assert one.begin(deciding=True, pins=frozenset(), times=AttemptTimes()) is None
        return [entry.name for entry in answer(one).news]

    assert news() == ["checkpoint-5"]
    one.forget(str(made))
    assert news() == []
    one._forgotten[str(made)] = replace(one._forgotten[str(made)], bytes=3)
    assert news() == ["checkpoint-5"], "another one of that name"
    shutil.rmtree(made)
    one.forget(str(made))
    assert news() == []
    assert not one._forgotten
    one.cancel()


def test_clock_set_back_does_not_disown_checkpoints(tmp_path: Path) -> None:
    """A foreign checkpoint made after the clock went back two hours is this run's."""
    made = tmp_path / "checkpoints" / "checkpoint-5"
    made.mkdir(parents=True)
    (made / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    times = AttemptTimes.of(History(first_attempt_wall=time.time() + 7200))
    times.note_clock(made.stat().st_mtime - 1)
    one = surveyor(tmp_path)
    assert one.begin(deciding=True, pins=frozenset(), times=times) is None
    event = answer(one).event
    assert isinstance(event, Surveyed)
    assert event.undecided == ()
    one.cancel()


def test_the_child_stays_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    """The second answer comes from the same process, without another start of Python."""
    one = surveyor(tmp_path)
    assert one.begin(deciding=True, pins=frozenset(), times=AttemptTimes()) is None
    assert isinstance(answer(one).event, Surveyed)
    process = one._child._process
    assert process is not None
    assert one.begin(deciding=True, pins=frozenset(), times=AttemptTimes()) is None
    assert isinstance(answer(one).event, Surveyed)
    assert one._child._process is process
    process.kill()
    process.wait()
    assert one.begin(deciding=True, pins=frozenset(), times=AttemptTimes()) is None
    assert isinstance(answer(one).event, Surveyed)
    one.cancel()


def test_a_child_that_dies_over_its_answer_is_told(tmp_path: Path) -> None:
    """No attempt is launched over checkpoints that were not read."""
    one = surveyor(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, bufsize=0)
    one._child._process = child
    assert one.begin(deciding=True, pins=frozenset(), times=AttemptTimes()) is None
    one._child._errors.write_text("MemoryError\n")
    event = answer(one).event
    assert isinstance(event, SurveyFailed)
    assert "MemoryError" in event.reason
    one.cancel()


def test_a_decision_waits_for_news_and_is_answered_after_it(tmp_path: Path) -> None:
    """The second survey remembers what the first has proven."""
    made = tmp_path / "checkpoints" / "checkpoint-5"
    made.mkdir(parents=True)
    (made / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    os.utime(made / "model.safetensors", (1, 1))
    one = surveyor(tmp_path)
    assert one.begin(deciding=False, pins=frozenset(), times=AttemptTimes(0.0)) is None
    assert one.begin(deciding=True, pins=frozenset(), times=AttemptTimes(0.0)) is None
    first, second = answer(one), answer(one)
    assert isinstance(first.event, Surveyed)
    assert isinstance(second.event, Surveyed)
    assert (first.event.deciding, second.event.deciding) == (False, True)
    one.cancel()


UNKNOWN = (
    *("weights.zip", "a.h5", "net.keras", "b.joblib", "c.PTH.TAR", "mine.pt", "d.msgpack"),
    *("e.safetensors", "f.bin", "g.pkl", "h.npz", "i.pdparams"),
)
NOTHING = ("notes.txt", "training_args.bin", "tokenizer.model", "loss.png", "step-10.pt", "x.tmp")


def test_unrecognised_weights_of_any_ending(tmp_path: Path) -> None:
    """Files that many tools save are reported, unless their name is known or they are older."""
    one = surveyor(tmp_path)
    for name in (*UNKNOWN, *NOTHING):
        (one.directory / name).write_bytes(b"x")
    now = time.time()
    assert one.unrecognised(now - 60) == tuple(sorted(UNKNOWN))
    os.utime(one.directory / "a.h5", (now - 600, now - 600))
    assert "a.h5" not in one.unrecognised(now - 60)
