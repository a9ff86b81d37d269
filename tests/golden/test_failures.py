"""The records of runs whose trainers fail: relaunched, rolled back, paused, or held."""

from tests.golden.conftest import Cold
from tests.golden.recording import hold_record, hold_status


def test_crashed_and_relaunched(run: Cold) -> None:
    """A relaunch without a checkpoint follows a pause; one with a checkpoint comes at once."""
    run.configure(faults={"1": [5, "raise"], "2": [15, "exit9"]})
    assert run.run() == 0
    hold_record(run, "crashed")


def test_a_crash_loop(run: Cold) -> None:
    """The spent budget holds the run; `run` leaves it held, and `resume` lets it go on."""
    run.configure(faults={"*": [3, "exit9"]}, restart={"backoff": "0.1s", "max_failures": 3})
    assert run.run() == 1
    hold_status(run, "crash-loop", "held")
    assert run.run() == 1
    assert run.command("resume").returncode == 0
    run.configure(env={"STEPS": "10"})
    assert run.run() == 0
    hold_record(run, "crash-loop")


def test_the_same_death_three_times(run: Cold) -> None:
    """The second equal death goes back one checkpoint; the third holds the run."""
    run.configure(env={"STEP_S": "0.01"}, faults={"*": [25, "raise"]})
    assert run.run() == 1
    hold_record(run, "rolled-back")


def test_the_trainers_word_of_its_configuration(run: Cold) -> None:
    """Exit code 78 holds the run."""
    run.configure(faults={"1": [5, "exit78"]})
    assert run.run() == 1
    hold_record(run, "configuration")


def test_an_error_before_the_first_step(run: Cold) -> None:
    """A restart does not repair a failing import, so the run is held."""
    run.script("import no_such_module_anywhere\n")
    assert run.run() == 1
    hold_record(run, "no-module")


def test_preempted_unasked(run: Cold) -> None:
    """Exit code 75 without a stop brings a relaunch at once."""
    run.configure(faults={"1": [15, "exit75"]})
    assert run.run() == 0
    hold_record(run, "exit75")


DYING = """
from supervisor.worker import attach
run = attach()
for step in range(1, 4):
    run.beat(step=step, loss=2.0)
deaths = {deaths}
if run.attempt in deaths:
    raise deaths[run.attempt]
run.finish(step=3)
"""
DEATHS = """{
    1: MemoryError("Unable to allocate 3.0 GiB"),
    2: ConnectionRefusedError(111, "Connection refused"),
    3: FloatingPointError("loss is nan"),
}"""


def test_deaths_that_have_names(run: Cold) -> None:
    """The exception alone names exhausted memory, an outage and a NaN loss."""
    run.script(DYING.format(deaths=DEATHS))
    assert run.run() == 0
    hold_record(run, "named")


FULL = "{1: OSError(28, 'No space left on device', 'saves/checkpoint-5/model.pt')}"


def test_a_full_disk(run: Cold) -> None:
    """The run waits for room, although the rule says `hold`; a stop ends the wait."""
    run.script(DYING.format(deaths=FULL), checkpoints={"directory": "saves"})
    process = run.start()
    run.wait(lambda: run.status.get("state") == "waiting")
    hold_status(run, "disk-full", "waiting")
    process.terminate()
    assert run.finish() == 75
    hold_record(run, "disk-full")
