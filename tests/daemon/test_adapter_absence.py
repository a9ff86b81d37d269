"""Why a trainer has no adapter, read from real processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.core.events import Observed
from supervisor.core.trainer_description import TrainerDescription
from supervisor.daemon.look.adapter_absence import NOT_WANTED, REPLACED, AdapterAbsence, find_reason
from supervisor.daemon.look.observer import Observation
from supervisor.system.python_flags import ignores_startup
from supervisor.worker.adapters import STARTUP

RUN_ID = "0123456789abcdef"
Start = Callable[..., None]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a Python of the attempt, with these options and variables."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*options: str, attempt: int = 3, **variables: str) -> None:
        marks = {"SUPERVISOR_RUN_ID": RUN_ID, "SUPERVISOR_ATTEMPT": str(attempt)}
        script = "print(1, flush=True); import time; time.sleep(60)"
        one = subprocess.Popen(
            [sys.executable, *options, "-c", script],
            env={**os.environ, **marks, **variables},
            stdout=subprocess.PIPE,
        )
        started.append(one)
        assert one.stdout is not None
        assert one.stdout.readline() == b"1\n"

    yield begin
    for one in started:
        one.kill()
        one.wait()
        assert one.stdout is not None
        one.stdout.close()


@pytest.mark.parametrize(
    ("options", "variables", "why"),
    [
        ((), {"SUPERVISOR_INTEGRATE": "auto", "PYTHONPATH": f"/x:{STARTUP}"}, None),
        ((), {"SUPERVISOR_INTEGRATE": "auto", "PYTHONPATH": "/x"}, REPLACED),
        ((), {"SUPERVISOR_INTEGRATE": "none", "PYTHONPATH": STARTUP}, NOT_WANTED),
        (("-I",), {"SUPERVISOR_INTEGRATE": "auto", "PYTHONPATH": STARTUP},
         "python -I ignores PYTHONPATH"),
        (("-uE",), {"SUPERVISOR_INTEGRATE": "auto", "PYTHONPATH": STARTUP},
         "python -E ignores PYTHONPATH"),
        (("-S",), {"SUPERVISOR_INTEGRATE": "huggingface", "PYTHONPATH": STARTUP},
         "python -S runs no sitecustomize"),
        # An attempt that a version without adapters started.
        ((), {"PYTHONPATH": "/x"}, None),
    ],
)  # fmt: skip
def test_reasons(
    start: Start, options: tuple[str, ...], variables: dict[str, str], why: str | None
) -> None:
    """What the command line and the environment of the attempt's Python tell."""
    start(*options, **variables)
    start("-I", attempt=2, SUPERVISOR_INTEGRATE="auto")  # of another attempt
    assert find_reason(RUN_ID, 3) == why


def look(
    *lines: str, said: TrainerDescription | None = None, step: int | None = None
) -> Observation:
    """One look at an attempt without ranks."""
    return Observation(
        observed=Observed(3, step=step), pages=(), lines=lines, epoch=None, loss=None,
        step_rate=None, heartbeat_age_s=None, last_save_s=None, world_size=None, description=said,
    )  # fmt: skip


def test_it_looks_once_after_the_first_step(start: Start) -> None:
    """No process is looked at before the log shows a step, and none afterwards."""
    start(SUPERVISOR_INTEGRATE="auto", PYTHONPATH="/x")
    absence = AdapterAbsence(RUN_ID, 3)
    absence.note_look(look("loading the model"))
    assert absence.why is None
    absence.note_look(look(" 12%|█▏        | 60/500 [00:30<03:40,  2.00it/s]"))
    assert absence.why == REPLACED
    absence.note_look(look("step 70"))
    assert absence.why == REPLACED
    by_pattern = AdapterAbsence(RUN_ID, 3)
    by_pattern.note_look(look(step=5))
    assert by_pattern.why == REPLACED


def test_a_trainer_that_speaks_has_one(start: Start) -> None:
    """A description settles it; sentences alone are the reason why there is none."""
    start(SUPERVISOR_INTEGRATE="auto", PYTHONPATH="/x")
    absence = AdapterAbsence(RUN_ID, 3)
    absence.note_look(look("step 5", said=TrainerDescription(framework="huggingface 5.24")))
    assert absence.why is None
    off = AdapterAbsence(RUN_ID, 3)
    off.note_look(look("step 5", said=TrainerDescription(told=("huggingface 9.0 does not fit",))))
    assert off.why == "huggingface 9.0 does not fit"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("python t.py", None),
        ("python -I t.py", "python -I ignores PYTHONPATH"),
        ("srun -n 2 env A=1 /venv/bin/python3.11 -BsE -m t", "python -E ignores PYTHONPATH"),
        ("python -X dev -W ignore -S t.py", "python -S runs no sitecustomize"),
        ("python -Wignore -m t -I", None),
        ("python -mt -I", None),
        ("python -c code -I", None),
        ("python -W I t.py", None),
        ("python --check-hash-based-pycs always -I t.py", "python -I ignores PYTHONPATH"),
        ("python t.py -E", None),
        ("python -- -E", None),
        ("bash train.sh -I", None),
        ("", None),
    ],
)
def test_options_of_a_command(command: str, why: str | None) -> None:
    """Options in front of the program count, those behind it are the program's."""
    assert ignores_startup(command.split()) == why


def test_the_folder_is_the_installed_one() -> None:
    """The folder that is looked for in PYTHONPATH exists, with the file that Python runs."""
    assert (Path(STARTUP) / "sitecustomize.py").exists()
