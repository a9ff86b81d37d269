"""Real deaths under `supervisor run`: ledger and status name the cause, and the run goes on or not.

What ended the process is real in each of them, except for the GPU's words.
"""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Supervised

DEATHS = Path(__file__).with_name("deaths.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]


def first_death(run: Supervised) -> dict[str, Any]:
    """Wait for the decision about the first attempt; `status --json` has to say the same.

    The next attempt waits for that.
    """
    decision: dict[str, Any] = run.wait(lambda: run.entries("decision"))[0]
    run.wait(lambda: run.status.get("failure"))
    said = run.raw("status", str(run.run_dir), "--json")
    status = json.loads(said.stdout)
    assert (status["failure"], status["action"]) == (decision["failure"], decision["action"])
    run.let_go()
    return decision


def configure(run: Supervised, kind: str, *launcher: str) -> None:
    """The training that dies of `kind`, under a launcher or by itself."""
    command = launcher or (sys.executable,)
    run.configure(
        command=[*command, str(DEATHS), kind],
        watch={"heartbeat_timeout": "60s"},
        env={"OMP_NUM_THREADS": "1", "GATE": run.gate},
    )


def test_a_segmentation_fault(run: Supervised) -> None:
    """The signal alone tells of it; the run goes on."""
    configure(run, "segfault")
    run.start()
    decision = first_death(run)
    assert (decision["failure"], decision["action"]) == ("segfault", "restart")
    assert run.finish() == 0
    assert run.entries("attempt_ended")[0]["signal"] == signal.SIGSEGV


def test_an_import_that_fails_late_is_an_exception(run: Supervised) -> None:
    """An import error at the 55th step is no mistake of the configuration: it is tried again."""
    configure(run, "import")
    run.start()
    decision = first_death(run)
    assert (decision["failure"], decision["action"]) == ("exception", "restart")
    assert run.finish() == 0


def test_the_words_of_a_device_assert_hold_the_run(run: Supervised) -> None:
    """The kernel's assertions and the traceback after them: the data is wrong, so a human looks."""
    configure(run, "device assert")
    run.start()
    decision = first_death(run)
    assert (decision["failure"], decision["action"]) == ("cuda_device_assert", "hold")
    assert run.finish() == 1
    assert len(run.entries("attempt_started")) == 1


@pytest.mark.slow
def test_two_ranks_that_wait_for_each_other(run: Supervised) -> None:
    """Gloo gives up after four seconds in both: a timeout of a collective, tried again."""
    configure(run, "deadlock", *TORCHRUN, "--nproc-per-node=2")
    run.start()
    decision = first_death(run)
    assert (decision["failure"], decision["action"]) == ("nccl_timeout", "restart"), run.log


@pytest.mark.slow
def test_a_killed_rank_among_three_peers(run: Supervised) -> None:
    """The peers complain of closed connections; torchrun's table knows who was killed."""
    configure(run, "killed rank", *TORCHRUN, "--nproc-per-node=4")
    run.start()
    decision = first_death(run)
    assert (decision["failure"], decision["action"]) == ("killed", "restart"), run.log
