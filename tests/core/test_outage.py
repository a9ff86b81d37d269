"""Deaths that do not blame the checkpoint: no rollback, no same death, and when they count."""

import pytest

from supervisor.core.effects import SetAside
from supervisor.core.events import Tick
from supervisor.core.policy import Policy
from supervisor.core.rules.resumption import initial_state
from supervisor.core.vocabulary import RunState
from tests.core.world import World, checkpoint, history_of

NETWORK = {"exception": "ConnectionError", "frame": "hub.py:get", "action": "backoff"}
UNKNOWN = {"exception": "RuntimeError", "frame": "setup.py:prepare"}
LONG_S = 1000.0


def resumed(policy: Policy | None = None) -> World:
    """A world whose second attempt runs, resumed from step 40."""
    world = World(policy=policy or Policy())
    world.begin()
    world.checkpoints = (checkpoint(40), checkpoint(30))
    world.launched(world.end(failure="killed", signal=9, code=None, step=45, first_step_seen=True))
    assert world.state.checkpoint == checkpoint(40)
    return world


def again(world: World) -> None:
    """The pause ends, and the next attempt runs."""
    assert world.state.run is RunState.BACKOFF, world.state.reason
    world.now += LONG_S
    world.launched([*world.feed(Tick()), *world.survey()])
    assert world.state.run is RunState.RUNNING


@pytest.mark.parametrize("death", [NETWORK, UNKNOWN, {**UNKNOWN, "frame": None}])
def test_an_outage_takes_no_checkpoint_back_and_is_no_same_death(death: dict[str, object]) -> None:
    """After eight equal deaths before the first step, the newest checkpoint is still used."""
    world = resumed()
    for _ in range(8):
        world.end(**death)
        assert world.state.action == "backoff"
        again(world)
        assert world.state.checkpoint == checkpoint(40)
    assert not [effect for effect in world.effects if isinstance(effect, SetAside)]
    assert world.state.budget.repeats == 0


def test_the_pause_comes_to_its_longest_before_a_failure_is_counted() -> None:
    """Pauses of 10, 20, 40, 80 and 160 s cost no failure; pauses of 300 s do."""
    world = resumed()
    failures, waits = [], []
    while world.state.run is not RunState.HELD:
        world.end(**NETWORK)
        failures.append(world.state.budget.failures)
        if world.state.wake_at is not None:
            waits.append(world.state.wake_at - world.now)
            again(world)
    assert failures == [1, 1, 1, 1, 1, 2, 3, 4, 5]
    bounds = [10, 20, 40, 80, 160, 300, 300, 300]
    assert all(0.75 * most <= wait <= most for wait, most in zip(waits, bounds, strict=True))
    assert "max_failures" in world.state.reason
    assert world.exit_codes() == [1]


def test_an_outage_of_two_minutes_is_outlived_by_default() -> None:
    """Even with the shortest pauses of the jitter, the run is not held within two minutes."""
    world = resumed()
    began = world.now
    while world.now - began < 120.0:
        world.end(**NETWORK)
        assert world.state.run is RunState.BACKOFF
        assert world.state.wake_at is not None
        world.now = world.state.wake_at
        world.launched([*world.feed(Tick()), *world.survey()])
    assert world.state.budget.failures == 1


def test_durable_progress_ends_the_outage() -> None:
    """The next outage begins with the shortest pause again."""
    world = resumed()
    for _ in range(3):
        world.end(**NETWORK)
        again(world)
    assert world.state.budget.outages == 3
    world.checkpoints = (checkpoint(50), *world.checkpoints)
    world.end(**NETWORK, step=55, first_step_seen=True)
    assert world.state.budget.outages == 1
    assert world.state.wake_at is not None
    assert world.state.wake_at - world.now <= 10.0


def test_an_outage_after_progress_waits_all_the_same() -> None:
    """The run waits for the outside to recover: a relaunch at once would be too early."""
    world = resumed()
    world.checkpoints = (checkpoint(50), *world.checkpoints)
    world.end(**NETWORK, step=55, first_step_seen=True)
    assert world.state.run is RunState.BACKOFF


def test_a_death_that_ended_training_before_is_no_outage_before_the_first_step() -> None:
    """The same exception and frame had ended an attempt that had made steps."""
    world = World()
    world.begin()
    world.checkpoints = (checkpoint(40), checkpoint(30))
    world.launched(world.end(**UNKNOWN, step=45, first_step_seen=True))
    world.end(**UNKNOWN)
    again(world)
    world.end(**UNKNOWN)
    assert world.state.action == "rollback"
    again(world)
    assert world.state.checkpoint == checkpoint(30)
    world.end(**UNKNOWN)
    assert world.state.run is RunState.HELD
    assert "the same death 3 times" in world.state.reason


def test_what_was_saved_shows_steps_that_nobody_saw() -> None:
    """A command may print no step: its checkpoint shows that it trained."""
    world = World(policy=Policy(has_resume_args=True))
    world.begin()
    world.checkpoints = (checkpoint(10),)
    world.launched(world.end(**UNKNOWN, attached=False))
    world.end(**UNKNOWN, attached=False)
    assert world.state.action == "rollback"
    again(world)
    world.end(**UNKNOWN, attached=False)
    assert world.state.run is RunState.HELD


@pytest.mark.parametrize("step", [40, 12, None])
def test_a_step_that_is_printed_while_resuming_is_none(step: int | None) -> None:
    """`resuming at step 40` matches the pattern of steps, but no step was made."""
    world = resumed()
    for _ in range(3):
        world.end(**UNKNOWN, step=step, first_step_seen=step is not None)
        assert world.state.action == "backoff"
        again(world)


def test_who_cannot_load_a_checkpoint_goes_back() -> None:
    """A death while loading its checkpoint is the checkpoint's fault, before or after steps."""
    world = resumed()
    world.end(**UNKNOWN, loads_checkpoint=True)
    again(world)
    world.end(**UNKNOWN, loads_checkpoint=True)
    assert world.state.action == "rollback"


def test_a_load_where_nothing_is_resumed_from_is_another() -> None:
    """From nothing, only pretrained weights are loaded, and they come over the network."""
    world = World()
    world.begin()
    for _ in range(4):
        world.end(**UNKNOWN, loads_checkpoint=True)
        again(world)


def test_after_the_last_step_it_is_no_checkpoints_fault() -> None:
    """After `finish.step` an upload, an evaluation or a logger fails, not the checkpoint."""
    world = resumed(Policy(has_finish_condition=True, finish_step=60))
    for action in ("restart", "rollback", "restart", "restart"):
        world.end(exception="OSError", frame="push.py:send", step=60, first_step_seen=True,
                  action=action)  # fmt: skip
        assert world.state.action == "backoff"
        again(world)
        assert world.state.checkpoint == checkpoint(40)


def test_between_two_same_deaths_an_outage_tells_nothing() -> None:
    """After A, outage, A, the second A is the second death; the outage is no rollback's reason."""
    world = resumed()
    death = {
        "exception": "ValueError",
        "frame": "data.py:next",
        "step": 45,
        "first_step_seen": True,
    }
    world.end(**death)
    again(world)
    world.end(**NETWORK)
    assert world.state.action == "backoff"
    again(world)
    world.end(**death)
    assert world.state.action == "rollback"
    again(world)
    assert world.state.checkpoint == checkpoint(30)
    world.end(**NETWORK)
    assert world.state.action == "backoff"
    again(world)
    world.end(**death)
    assert world.state.run is RunState.HELD


def test_a_mistake_of_the_program_counts_at_once() -> None:
    """NameError before the first step causes no rollback, and five of them hold the run."""
    world = resumed(Policy(max_failures=5))
    for _ in range(3):
        world.end(exception="NameError", frame="t.py:<module>")
        again(world)
        assert world.state.checkpoint == checkpoint(40)
    world.end(exception="NameError", frame="t.py:<module>")
    assert world.state.run is RunState.HELD
    assert "5 failures" in world.state.reason


@pytest.mark.parametrize(("death", "failures"), [(UNKNOWN, 3), (NETWORK, 0)])
def test_what_has_never_trained_may_have_a_mistake(death: dict[str, object], failures: int) -> None:
    """In a run that never trained an unknown exception counts at once, an outage does not."""
    world = World()
    world.begin()
    for _ in range(3):
        world.end(**death)
        again(world)
    assert world.state.budget.failures == failures
    assert world.state.budget.repeats == 0


def test_a_backoff_of_nothing_is_held_in_the_end() -> None:
    """Pauses that never reach their maximum must not launch for ever."""
    world = resumed(Policy(backoff_s=0.0))
    for _ in range(40):
        world.end(**NETWORK)
        if world.state.run is RunState.HELD:
            break
        again(world)
    assert world.state.run is RunState.HELD


CORRUPT = {"failure": "checkpoint_corrupt", "action": "rollback", "exception": "RuntimeError",
           "frame": "serialization.py:load"}  # fmt: skip


@pytest.mark.parametrize(
    ("proof", "loads", "saw_steps", "action"),
    [
        ("structure", True, False, "rollback"),
        (None, None, False, "rollback"),
        ("hashes", True, False, "restart"),  # the bytes are as they were written
        ("structure", None, True, "restart"),  # the checkpoint had been read long before
        ("structure", True, True, "rollback"),
    ],
)
def test_corrupt_is_not_what_a_message_says_alone(
    proof: str | None, loads: bool | None, saw_steps: bool, action: str
) -> None:
    """Hashes proven a moment before outrank a message, and so does training that went on."""
    world = World()
    world.begin()
    world.checkpoints = (checkpoint(40, proof=proof), checkpoint(30, proof=proof))
    world.launched(world.end(failure="killed", signal=9, code=None))
    step = 45 if saw_steps else None
    world.end(**CORRUPT, loads_checkpoint=loads, step=step, first_step_seen=saw_steps)
    assert world.state.action == action
    assert ("hashes" in world.state.reason) is (proof == "hashes")


@pytest.mark.parametrize("own", [True, False])
def test_configuration_after_a_checkpoint_of_this_run_is_an_exception(own: bool) -> None:
    """The run trained with this configuration; another run's checkpoint proves nothing."""
    world = World()
    world.checkpoints = (checkpoint(40, own_run=own, says_who=own),)
    world.begin()
    said = {"exception": "ValidationError", "reason": "configuration in t.py:f: bad"}
    world.end(failure="configuration", action="hold", code=1, **said)
    assert world.state.run is (RunState.BACKOFF if own else RunState.HELD)
    assert world.state.failure == ("exception" if own else "configuration")
    assert world.state.reason.startswith(f"{world.state.failure} in t.py:f")


def test_the_trainers_own_word_holds_after_checkpoints_too() -> None:
    """Exit code 78 means a wrong configuration, even after checkpoints."""
    world = resumed()
    world.end(code=78, failure="configuration", action="hold")
    assert (world.state.run, world.state.failure) == (RunState.HELD, "configuration")


def test_another_daemon_goes_on_counting() -> None:
    """The ledger has the outages, the deaths in training, and the attempt's first checkpoint."""
    world = World()
    world.begin()
    world.checkpoints = (checkpoint(40),)
    world.launched(world.end(**UNKNOWN, step=45, first_step_seen=True))
    for _ in range(2):
        world.end(**NETWORK)
        again(world)
    entries: list[dict[str, object]] = []
    for kind in ("progress", "attempt_ended", "decision"):
        entries += [{"wall": 1.0, **entry} for entry in world.records(kind)]
    started = {"path": "/run/checkpoint-40", "step": 40, "tier": "disk", "proof": "hashes"}
    entries.append({"wall": 1.0, "type": "attempt_started", "attempt": 4, "checkpoint": started})
    state = initial_state(history_of(entries), Policy(), now=5.0, wall=2.0)
    assert state.budget.outages == world.state.budget.outages == 2
    assert state.budget.died_in_training == (("RuntimeError", "setup.py:prepare"),)
    assert state.progress_before == (40, None)
    assert state.checkpoint is not None
    assert (state.checkpoint.step, state.checkpoint.proof) == (40, "hashes")
    cleared = history_of([*entries, {"type": "resumed", "wall": 3.0, "intent_id": "x"}])
    assert (cleared.budget.outages, cleared.budget.died_in_training) == (0, ())


def test_an_old_ledger_replays() -> None:
    """A ledger of an earlier version has no counts of outages, and counts none."""
    old = {"type": "attempt_ended", "attempt": 1, "charged": True, "failures": 2, "repeats": 1,
           "exception": "ValueError", "frame": "f", "first_step": True, "wall": 1.0}  # fmt: skip
    past = history_of([old])
    assert (past.budget.outages, past.budget.full_deaths, past.budget.failures) == (0, 0, 2)
    assert past.budget.died_in_training == (("ValueError", "f"),)
