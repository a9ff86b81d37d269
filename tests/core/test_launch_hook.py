"""The hook `before_launch`: when it is asked, what a refusal leads to, and what ends the wait."""

from dataclasses import replace

import pytest

from supervisor.core.effects import Exit, Launch, Record, Rescue, SetAside, SurveyCheckpoints
from supervisor.core.entries.decision import DecisionEntry
from supervisor.core.events import (
    Begun,
    Event,
    Exited,
    IntentChanged,
    MemorySeen,
    Probed,
    StopAsked,
    Surveyed,
    SurveyFailed,
    Tick,
)
from supervisor.core.launch_gate import AskLaunchHook, GateStage, LaunchHookEnded
from supervisor.core.policy import Policy
from supervisor.core.reactions.wait import PROBE_EVERY_S
from supervisor.core.rules.checkpoint_choice import may_go_back
from supervisor.core.rules.resumption import initial_state
from supervisor.core.snapshot_facts import MemorySnapshot
from supervisor.core.vocabulary import (
    Action,
    ExitCode,
    Failure,
    Intent,
    Relaunch,
    RunState,
    StopSource,
)
from supervisor.daemon.takeover import beginning
from supervisor.launcher.messages import Hello
from tests.core.world import World, checkpoint, died, history_of, snapshot

HOOK = Policy(has_launch_hook=True)


def names(effects: list[object]) -> list[str]:
    """The names of effects, without records and words."""
    found = [type(effect).__name__ for effect in effects]
    return [name for name in found if name not in ("Record", "Say", "Incident")]


def asked(policy: Policy = HOOK) -> World:
    """A world whose first launch waits for the hook."""
    world = World(policy=policy)
    world.feed(Begun(Intent.RUN))
    assert names(world.survey()) == ["AskLaunchHook"]
    return world


def refuse(world: World) -> float:
    """The hook refuses; returns how long the run waits."""
    world.feed(LaunchHookEnded(world.state.attempt + 1, "the disk is not mounted"))
    assert world.state.run is RunState.WAITING
    assert world.state.wake_at is not None
    return world.state.wake_at - world.now


def ask_again(world: World) -> None:
    """The wait is over: the checkpoints are read, and the hook is asked again."""
    assert world.state.wake_at is not None
    world.now = world.state.wake_at
    assert names(world.feed(Tick())) == ["SurveyCheckpoints"]
    assert names(world.survey()) == ["AskLaunchHook"]


def passes(world: World) -> list[object]:
    """The hook lets the launch pass; returns what the survey after it leads to."""
    assert world.feed(LaunchHookEnded(world.state.attempt + 1)) == [SurveyCheckpoints()]
    effects = world.survey()
    world.launched(effects)
    return list(effects)


def test_without_a_hook_the_first_survey_launches() -> None:
    """Nothing else happens, and no second survey is made."""
    world = World()
    world.feed(Begun(Intent.RUN))
    assert names(world.survey()) == ["Launch"]


def test_the_checkpoints_are_read_after_the_hook() -> None:
    """What it has brought to an empty disk is resumed from."""
    world = asked()
    assert world.state.run is RunState.LAUNCHING
    assert not world.state.alive
    world.checkpoints = (checkpoint(40),)
    (launch,) = [one for one in passes(world) if isinstance(one, Launch)]
    assert launch.checkpoint == checkpoint(40)
    assert world.state.run is RunState.RUNNING


def test_it_is_asked_before_each_launch() -> None:
    """Also before a relaunch; what ended the attempt is recorded once, and stays the failure."""
    world = asked()
    passes(world)
    world.checkpoints = (checkpoint(40),)
    effects = world.end(step=50)
    assert names(effects) == ["AskLaunchHook"]
    assert names(passes(world)) == ["Launch"]
    assert len(world.records("attempt_ended")) == 1
    assert world.state.attempt == 2
    assert world.state.failure is Failure.EXCEPTION
    assert world.state.budget.failures == 1


def test_a_refusal_waits_with_growing_pauses() -> None:
    """It is on record as a wait that clears by itself, and costs no failure."""
    world = asked()
    waits = []
    for _ in range(9):
        waits.append(refuse(world))
        ask_again(world)
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    entry = world.records("decision")[0]
    assert (entry["state"], entry["failure"]) == ("waiting", "launch_refused")
    assert (entry["reason"], entry["wait_s"]) == ("the disk is not mounted", 10.0)
    assert world.state.budget.failures == 0
    assert names(passes(world)) == ["Launch"]
    assert world.state.failure is None


def test_the_pauses_begin_anew_after_a_launch() -> None:
    """A refusal of the second launch waits ten seconds again."""
    world = asked()
    refuse(world)
    ask_again(world)
    passes(world)
    world.checkpoints = (checkpoint(40),)
    world.end(step=50)
    assert refuse(world) == 10


def test_what_the_run_died_of_is_shown_again_after_refusals() -> None:
    """While it waits the refusal is shown, and afterwards the failure of the attempt."""
    world = asked()
    passes(world)
    world.checkpoints = (checkpoint(40),)
    world.end(step=50)
    refuse(world)
    assert world.state.failure is Failure.LAUNCH_REFUSED
    ask_again(world)
    passes(world)
    assert world.state.failure is Failure.EXCEPTION


def test_a_rollback_is_not_forgotten_while_the_hook_is_asked() -> None:
    """The launch after it still goes one checkpoint further back, and sets the newest aside."""
    world = asked()
    passes(world)
    world.checkpoints = (checkpoint(40), checkpoint(20))
    assert names(world.end(step=50, action="rollback")) == ["AskLaunchHook"]
    refuse(world)
    ask_again(world)
    effects = passes(world)
    (launch,) = [one for one in effects if isinstance(one, Launch)]
    assert launch.checkpoint == checkpoint(20)
    assert any(isinstance(one, SetAside) for one in effects)


def test_no_checkpoint_is_pruned_while_the_next_launch_may_go_back() -> None:
    """While the hook runs, after it has refused, and at a stop meanwhile, if a rollback is due."""
    world = asked()
    assert may_go_back(world.state)
    passes(world)
    assert not may_go_back(world.state)
    world.checkpoints = (checkpoint(40), checkpoint(20))
    world.end(step=50)
    assert may_go_back(world.state)
    refuse(world)
    assert may_go_back(world.state)
    ask_again(world)
    assert may_go_back(world.state)
    passes(world)
    assert not may_go_back(world.state)
    world.end(step=50, action="rollback")
    world.feed(StopAsked(StopSource.SIGTERM))
    assert world.state.run is RunState.PREEMPTED
    assert may_go_back(world.state)


def test_a_rollback_after_a_pause_keeps_its_checkpoint_as_well() -> None:
    """Also without a hook, and if an earlier daemon had decided on it."""
    world = World()
    world.begin()
    world.state = replace(world.state, rollback=True)
    assert may_go_back(world.state)
    world.state = replace(world.state, rollback=False, back_to=20)
    assert may_go_back(world.state)


def test_nothing_is_set_aside_before_the_hook_has_passed() -> None:
    """A hook that refuses for hours leaves the checkpoints where they are."""
    world = World(policy=HOOK)
    world.feed(Begun(Intent.RUN))
    world.checkpoints = (checkpoint(40),)
    assert names(world.survey(invalid=(("/run/torn", "torn"),))) == ["AskLaunchHook"]
    assert world.feed(LaunchHookEnded(1)) == [SurveyCheckpoints()]
    assert names(world.survey(invalid=(("/run/torn", "torn"),))) == ["SetAside", "Launch"]


@pytest.mark.parametrize("unmounted", [None, "/scratch"])
def test_it_may_bring_missing_checkpoints_back(unmounted: str | None) -> None:
    """It is asked before the run is held for them, or waits for them."""
    world = World(policy=HOOK)
    world.feed(Begun(Intent.RUN))
    lost = Surveyed(missing="checkpoint-40 is missing", unmounted=unmounted)
    asks = [one for one in world.feed(lost) if isinstance(one, AskLaunchHook)]
    assert asks == [AskLaunchHook(1, unmounted)]
    assert world.state.failure is None
    world.checkpoints = (checkpoint(40),)
    assert names(passes(world)) == ["Launch"]
    assert world.state.failure is None


def unmounted_run() -> World:
    """A run whose disk is not mounted, and whose hook is asked."""
    world = World(policy=HOOK)
    world.feed(Begun(Intent.RUN))
    assert names(world.feed(LOST)) == ["AskLaunchHook"]
    return world


LOST = Surveyed(missing="checkpoint-40 is missing", unmounted="/scratch")
BROUGHT = Surveyed(candidates=(checkpoint(20),), exists=True, unmounted="/scratch")


def test_what_it_brings_to_a_bare_mount_point_is_not_resumed_from() -> None:
    """The run waits for the mount as without the hook, and then asks it again."""
    world = unmounted_run()
    world.feed(LaunchHookEnded(1))
    assert names(world.feed(BROUGHT)) == []
    assert world.state.run is RunState.WAITING
    assert world.state.failure is Failure.CHECKPOINTS_MISSING
    assert "nothing is mounted on /scratch" in world.state.reason
    for _ in range(3):
        assert names(world.feed(Tick())) == ["Probe"]
        world.feed(Probed(clear=False, what="/scratch is not mounted"))
        assert world.state.wake_at == world.now + PROBE_EVERY_S
        world.now += PROBE_EVERY_S
    assert names(world.feed(Probed(clear=True, what="/scratch is mounted"))) == [
        "SurveyCheckpoints"
    ]
    world.checkpoints = (checkpoint(40),)
    assert names(world.survey()) == ["AskLaunchHook"]
    (launch,) = [one for one in passes(world) if isinstance(one, Launch)]
    assert launch.checkpoint == checkpoint(40)


def test_a_start_that_finds_only_what_the_hook_brought_waits_as_well() -> None:
    """Nothing is missing any more, but the disk is. Without the hook it goes on from there."""
    world, plain = World(policy=HOOK), World()
    for one in (world, plain):
        one.feed(Begun(Intent.RUN))
    assert names(world.feed(BROUGHT)) == ["AskLaunchHook"]
    world.feed(LaunchHookEnded(1))
    world.feed(BROUGHT)
    assert world.state.run is RunState.WAITING
    assert names(plain.feed(BROUGHT)) == ["Launch"]


def test_a_refusal_leaves_the_look_for_the_mount_as_it_is() -> None:
    """Every five seconds; the hook, which may mount it, is asked again after its own pause."""
    world = unmounted_run()
    for pause_s in (10, 20, 40):
        world.feed(LaunchHookEnded(1, "no route to the server"))
        assert world.state.run is RunState.WAITING
        assert world.state.failure is Failure.CHECKPOINTS_MISSING
        assert world.state.reason.endswith("no route to the server")
        began, effects = world.now, names(world.feed(Tick()))
        while effects == ["Probe"]:
            world.feed(Probed(clear=False, what="/scratch is not mounted"))
            world.now += PROBE_EVERY_S
            effects = names(world.feed(Tick()))
        assert effects == ["SurveyCheckpoints"]
        assert world.now - began == pause_s
        assert names(world.feed(LOST)) == ["AskLaunchHook"]
    world.feed(LaunchHookEnded(1, "no route to the server"))
    world.feed(Tick())
    assert SurveyCheckpoints() in world.feed(Probed(clear=True, what="/scratch is mounted"))


@pytest.mark.parametrize("refuses", [False, True])
def test_from_nothing_is_not_overruled_by_what_it_brings(refuses: bool) -> None:
    """`run --from-nothing` begins from nothing; what the hook has brought is set aside."""
    world = World(policy=HOOK)
    world.state = replace(world.state, begin_again=True)
    world.feed(Begun(Intent.RUN))
    asks = [one for one in world.survey() if isinstance(one, AskLaunchHook)]
    assert asks == [AskLaunchHook(1, from_nothing=True)]
    world.checkpoints = (checkpoint(40), checkpoint(20))
    if refuses:
        refuse(world)
        ask_again(world)
    effects = passes(world)
    (launch,) = [one for one in effects if isinstance(one, Launch)]
    (aside,) = [one for one in effects if isinstance(one, SetAside)]
    assert launch.checkpoint is None
    assert aside.later == (checkpoint(40).path, checkpoint(20).path)
    assert world.state.budget.progress_step is None
    # It counts for one launch: the next one goes on from what this attempt saved.
    world.checkpoints = (checkpoint(5),)
    world.end(step=7)
    (launch,) = [one for one in passes(world) if isinstance(one, Launch)]
    assert launch.checkpoint == checkpoint(5)


def test_from_nothing_with_a_newer_snapshot_in_memory_is_as_without_the_hook() -> None:
    """The option is no word against older checkpoints on the disk then."""
    world = World(policy=HOOK, checkpoints=(snapshot(50), checkpoint(40)))
    world.state = replace(world.state, begin_again=True)
    world.feed(Begun(Intent.RUN))
    world.survey()
    effects = passes(world)
    (launch,) = [one for one in effects if isinstance(one, Launch)]
    assert launch.checkpoint == snapshot(50)
    assert not any(isinstance(one, SetAside) for one in effects)


def test_the_run_is_held_if_it_did_not_bring_them() -> None:
    """Asked once, not again and again."""
    world = World(policy=HOOK)
    world.feed(Begun(Intent.RUN))
    lost = Surveyed(missing="checkpoint-40 is missing")
    world.feed(lost)
    world.feed(LaunchHookEnded(1))
    world.feed(lost)
    assert world.state.run is RunState.HELD
    assert world.state.failure is Failure.CHECKPOINTS_MISSING
    assert world.state.gate.stage is GateStage.CLOSED


def test_it_may_bring_a_checkpoint_where_none_is_valid() -> None:
    """The damaged ones are set aside once it has; else the run is held for them."""
    brought, held = World(policy=HOOK, exists=True), World(policy=HOOK, exists=True)
    damaged = (("/run/checkpoint-40", "is cut short"),)
    for world in (brought, held):
        world.feed(Begun(Intent.RUN))
        assert names(world.survey(invalid=damaged)) == ["AskLaunchHook"]
        world.feed(LaunchHookEnded(1))
    brought.checkpoints = (checkpoint(20),)
    assert names(brought.survey(invalid=damaged)) == ["SetAside", "Launch"]
    held.survey(invalid=damaged)
    assert held.state.run is RunState.HELD
    assert held.state.failure is Failure.CHECKPOINT_CORRUPT


def test_a_spent_budget_is_no_reason_to_ask_it() -> None:
    """Also if the attempts died of a damaged checkpoint: it must not lift that hold."""
    world = World(policy=Policy(has_launch_hook=True, max_failures=1), exists=True)
    world.feed(Begun(Intent.RUN))
    world.checkpoints = (checkpoint(20),)
    world.survey()
    passes(world)
    world.checkpoints = ()
    world.end(failure="checkpoint_corrupt", action="restart", step=20)
    assert world.state.run is RunState.HELD
    assert world.kinds().count("AskLaunchHook") == 1


def test_it_is_not_asked_where_nothing_is_launched() -> None:
    """A run that pauses, that is finished, that a person holds, or that has to be decided on."""
    paused, finished, held, undecided = asked(), asked(), asked(), World(policy=HOOK)
    passes(paused)
    paused.end(step=50)
    assert paused.state.run is RunState.BACKOFF
    passes(finished)
    finished.end(code=0, failure="completed", action="none", step=50)
    assert finished.state.run is RunState.COMPLETED
    passes(held)
    held.feed(IntentChanged(Intent.HOLD))
    held.end(step=50)
    assert held.state.run is RunState.HELD
    for world in (paused, finished, held):
        assert world.kinds().count("AskLaunchHook") == 1
    undecided.feed(Begun(Intent.RUN))
    undecided.feed(Surveyed(taken="another run has this directory"))
    assert undecided.state.run is RunState.HELD
    assert "AskLaunchHook" not in undecided.kinds()


def test_it_is_asked_when_a_pause_is_over() -> None:
    """Not before it: what it looks at may change meanwhile."""
    world = asked()
    passes(world)
    world.end(step=50)
    assert world.state.wake_at is not None
    world.now = world.state.wake_at
    assert names(world.feed(Tick())) == ["SurveyCheckpoints"]
    assert names(world.survey()) == ["AskLaunchHook"]


STOPS: list[tuple[Event, RunState]] = [
    (StopAsked(StopSource.SIGTERM), RunState.PREEMPTED),
    (StopAsked(StopSource.LAUNCHER_DEATH), RunState.PREEMPTED),
    (IntentChanged(Intent.STOP), RunState.STOPPED),
    (IntentChanged(Intent.HOLD), RunState.HELD),
]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize(("stop", "expected"), STOPS)
def test_a_stop_ends_the_run_at_once(stop: Event, expected: RunState, waits: bool) -> None:
    """While the hook runs, and while the run waits after a refusal."""
    world = asked()
    if waits:
        refuse(world)
    world.feed(stop)
    assert world.state.run is expected
    code = ExitCode.HELD if expected is RunState.HELD else ExitCode.PREEMPTED
    assert world.exit_codes() == [code]
    assert world.feed(LaunchHookEnded(1)) == []


@pytest.mark.parametrize("stop", [stop for stop, _ in STOPS])
def test_a_snapshot_in_memory_goes_to_the_disk_before_a_stop_ends_the_run(stop: Event) -> None:
    """As in a pause: the hook is not waited for, and its answer changes nothing."""
    world = asked()
    passes(world)
    world.checkpoints = (checkpoint(40),)
    world.end(step=50)
    world.feed(MemorySeen(MemorySnapshot(step=50, sequence=1, is_durable=False, persist_s=1.0)))
    assert names(world.feed(stop)) == ["SurveyCheckpoints"]
    assert not any(isinstance(effect, Exit) for effect in world.effects)
    assert world.state.gate.stage is GateStage.CLOSED
    assert world.feed(LaunchHookEnded(2)) == []
    assert world.state.surveying


def test_a_resume_ends_the_wait() -> None:
    """The hook is asked at once."""
    world = asked()
    refuse(world)
    assert SurveyCheckpoints() in world.feed(IntentChanged(Intent.RUN))
    assert names(world.survey()) == ["AskLaunchHook"]


def test_a_late_answer_changes_nothing() -> None:
    """An answer for another attempt, or one that comes after the launch."""
    world = asked()
    assert world.feed(LaunchHookEnded(7, "no")) == []
    assert world.state.run is RunState.LAUNCHING
    passes(world)
    assert world.feed(LaunchHookEnded(1, "no")) == []
    assert world.state.run is RunState.RUNNING


def test_an_unreadable_directory_behind_the_hook_has_it_asked_again() -> None:
    """A launch minutes later is another launch."""
    world = asked()
    world.feed(LaunchHookEnded(1))
    world.feed(SurveyFailed("input/output error"))
    assert world.state.run is RunState.WAITING
    assert world.state.gate.stage is GateStage.CLOSED


def test_the_next_daemon_goes_on_with_the_wait_and_its_pauses() -> None:
    """The pause is not cut short, and the next one is twice as long."""
    world = asked()
    for _ in range(3):
        refuse(world)
        ask_again(world)
    refuse(world)
    ledger = [e.entry.to_json() for e in world.effects if isinstance(e, Record)]
    history = history_of([{**entry, "wall": 0.0} for entry in ledger])
    state = initial_state(history, HOOK, now=5000.0, wall=0.0)
    begun, state, _ = beginning(history, Intent.RUN, state, Hello(launcher_pid=1))
    after = World(policy=HOOK, now=5000.0)
    after.state = state
    after.feed(begun)
    assert after.state.run is RunState.WAITING
    assert after.state.failure is Failure.LAUNCH_REFUSED
    assert after.state.wake_at == 5080.0
    ask_again(after)
    assert refuse(after) == 160


def test_a_daemon_that_died_during_the_hook_has_it_asked_again() -> None:
    """The end of the attempt is on record once; the rollback is known from it."""
    world = asked()
    passes(world)
    world.checkpoints = (checkpoint(40), checkpoint(20))
    world.end(step=50, action="rollback")
    ledger = [e.entry.to_json() for e in world.effects if isinstance(e, Record)]
    history = history_of(ledger)
    state = initial_state(history, HOOK, now=5000.0, wall=0.0)
    begun, state, _ = beginning(history, Intent.RUN, state, Hello(launcher_pid=1))
    after = World(policy=HOOK, now=5000.0)
    after.state, after.checkpoints = state, world.checkpoints
    assert after.feed(begun) == [SurveyCheckpoints()]
    assert names(after.survey()) == ["AskLaunchHook"]
    assert after.state.rollback


def test_a_snapshot_only_in_memory_is_persisted_while_the_hook_runs() -> None:
    """The hook may take minutes, and the machine may go down meanwhile."""
    world = asked()
    passes(world)
    world.checkpoints = (checkpoint(40),)
    world.feed(Exited(died(1, step=50)))
    effects = world.feed(Surveyed(candidates=(snapshot(50), checkpoint(40)), exists=True))
    assert any(isinstance(effect, Rescue) for effect in effects)
    assert any(isinstance(effect, AskLaunchHook) for effect in effects)


def test_a_refusal_is_a_wait_in_the_words_of_the_record() -> None:
    """As a wait for room on a disk."""
    world = asked()
    refuse(world)
    (entry,) = [
        effect.entry
        for effect in world.effects
        if isinstance(effect, Record) and isinstance(effect.entry, DecisionEntry)
    ]
    assert entry.action is Action.WAIT.told
    assert world.state.action is Action.WAIT
    assert Action.WAIT.relaunch is Relaunch.AFTER_A_PAUSE
