"""Properties of the core under arbitrary event sequences, sensible and absurd."""

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.effects import Effect, Exit, Launch, SurveyCheckpoints
from supervisor.core.ending import Ending
from supervisor.core.events import (
    Begun,
    Event,
    Exited,
    IntentChanged,
    Looked,
    MemorySeen,
    Observed,
    Probed,
    Rescued,
    StacksTaken,
    Started,
    StartFailed,
    StopAsked,
    Surveyed,
    SurveyFailed,
    Suspended,
    Tick,
    Unkillable,
)
from supervisor.core.launch_gate import GateStage, LaunchHookEnded
from supervisor.core.look_facts import RankSeen, RanksGone
from supervisor.core.policy import Policy
from supervisor.core.reactions.launch_hook import is_asked
from supervisor.core.reactions.persist_snapshot import is_waiting
from supervisor.core.rules.exit_codes import ExitRule
from supervisor.core.snapshot_facts import MemorySnapshot
from supervisor.core.states import Checkpoint, State
from supervisor.core.step import step
from supervisor.core.vocabulary import (
    TERMINAL,
    Action,
    Failure,
    Intent,
    Phase,
    RunState,
    StopSource,
    Tier,
)

small = st.integers(0, 6)
maybe_step = st.none() | st.integers(0, 9).map(lambda n: n * 100)
checkpoints = st.builds(
    Checkpoint,
    path=st.integers(0, 9).map(lambda n: f"/c/{n}"),
    step=maybe_step,
    kind=st.sampled_from([None, "periodic", "final"]),
    own_run=st.booleans(),
    tier=st.sampled_from([Tier.DISK, Tier.MEMORY]),
)
memories = st.builds(
    MemorySnapshot,
    sequence=small,
    step=st.integers(0, 9).map(lambda n: n * 100),
    is_durable=st.booleans(),
    persist_s=st.floats(0, 1e4),
)
moved = st.sampled_from([(), ("CPU (1.0 cores)",)])
ranks = st.lists(
    st.builds(
        RankSeen,
        name=st.just("rank 0 (pid 7)"),
        is_gone=st.booleans(),
        is_stopped=st.booleans(),
        waits_in=st.sampled_from([None, "all_reduce"]),
        moved=moved,
        blocked=st.sampled_from([None, "a disk"]),
        is_known=st.booleans(),
    ),
    max_size=3,
).map(tuple)
gone = st.builds(
    RanksGone,
    ranks=st.just("rank 0 (pid 7)"),
    main=st.just("sh (pid 5)"),
    age_s=st.floats(0, 200),
    has_ended_well=st.booleans(),
    quiet_s=st.floats(0, 200),
)
endings = st.builds(
    Ending,
    attempt=small,
    code=st.sampled_from([None, 0, 1, 75, 78]),
    signal=st.sampled_from([None, None, 9, 11]),
    outcome_code=st.sampled_from([None, None, 0, 75, 78]),
    failure=st.sampled_from(Failure),
    action=st.sampled_from(Action),
    exception=st.sampled_from([None, "ValueError"]),
    step=maybe_step,
    first_step_seen=st.booleans(),
    attached=st.booleans(),
    finish_met=st.sampled_from([None, True, False]),
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        Surveyed,
        candidates=st.lists(checkpoints, max_size=3).map(tuple),
        exists=st.booleans(),
        undecided=st.sampled_from([(), ("/c/x",)]),
        deciding=st.booleans(),
    ),
    st.builds(SurveyFailed, reason=st.just("stale file handle")),
    st.builds(Started, attempt=small),
    st.builds(StartFailed, attempt=small, message=st.just("no"), transient=st.booleans()),
    st.builds(Exited, ending=endings),
    st.builds(Unkillable, attempt=small, what=st.just("pid 1")),
    st.builds(
        Observed,
        attempt=small,
        attached=st.booleans(),
        beating=st.booleans(),
        phase=st.sampled_from(Phase),
        beat_age_s=st.floats(0, 1e5),
        gap_s=st.none() | st.floats(0, 1e4),
        step=maybe_step,
        log_age_s=st.floats(0, 1e5),
        stood_still=st.sampled_from([None, True, False]),
        ended_age_s=st.none() | st.floats(0, 1e5),
        gone=st.none() | gone,
    ),
    st.builds(Looked, attempt=small, asked_at=st.floats(0, 1e4), ranks=ranks, moved=moved),
    st.builds(StacksTaken, attempt=small),
    st.builds(MemorySeen, memory=st.none() | memories),
    st.builds(Rescued, is_durable=st.booleans(), error=st.none() | st.just("no space")),
    st.builds(StopAsked, by=st.sampled_from([StopSource.SIGTERM, StopSource.SIGINT])),
    st.builds(IntentChanged, intent=st.sampled_from(Intent)),
    st.builds(Probed, clear=st.booleans(), what=st.just("space")),
    st.builds(LaunchHookEnded, attempt=small, refused=st.none() | st.just("not now")),
    st.builds(Suspended, gap_s=st.floats(0, 1e4)),
    st.just(Tick()),
)
policies = st.builds(
    Policy,
    max_failures=st.integers(1, 4),
    max_per_day=st.integers(1, 6),
    exit_codes=st.dictionaries(st.sampled_from([1, 137, 139]), st.sampled_from(ExitRule)).map(
        lambda rules: tuple(rules.items())
    ),
    restart_on_silence=st.booleans(),
    start_fresh_if_none_valid=st.booleans(),
    trainer_finds_checkpoints=st.booleans(),
    has_resume_args=st.booleans(),
    has_launch_hook=st.booleans(),
)
begins = st.builds(
    Begun,
    intent=st.sampled_from(Intent),
    alive=st.booleans(),
    stop_sent=st.booleans(),
    kill_sent=st.booleans(),
    held=st.sampled_from([None, "why"]),
    finished=st.booleans(),
)
moments = st.floats(0, 2000, allow_nan=False)


def relevant(event: Event, state: State) -> Event:
    """Half of the events concern the running attempt; the other half may be stale."""
    if isinstance(event, Exited) and event.ending.attempt % 2:
        ending = event.ending
        fields = {f: getattr(ending, f) for f in Ending.__dataclass_fields__}
        return Exited(Ending(**{**fields, "attempt": state.attempt}))
    if isinstance(event, Observed) and event.attempt % 2:
        fields = {f: getattr(event, f) for f in Observed.__dataclass_fields__}
        return Observed(**{**fields, "attempt": state.attempt})
    if isinstance(event, Looked) and event.attempt % 2:
        asked_at = state.activity.looks.asked_at or 0.0
        return Looked(state.attempt, asked_at, event.ranks, event.moved)
    if isinstance(event, LaunchHookEnded):
        return LaunchHookEnded(state.attempt + event.attempt % 2, event.refused)
    if isinstance(event, Started | StacksTaken) and event.attempt % 2:
        return type(event)(state.attempt)
    return event


@given(policies, begins, st.lists(st.tuples(events, moments), max_size=60))
@settings(max_examples=600, deadline=None)
def test_invariants_hold_whatever_comes(
    policy: Policy, begun: Begun, story: list[tuple[Event, float]]
) -> None:
    """Never two attempts alive, never a launch against the intent or after an end; waits end."""
    now = 1000.0
    state = State(policy=policy, at=now, attempt=1 if begun.alive else 0)
    living = {1} if begun.alive else set()
    intent = begun.intent if not begun.alive else Intent.RUN
    state, effects = step(state, begun, now)
    check(state, effects, living, intent)
    for drawn, elapsed in story:
        now += elapsed
        event = relevant(drawn, state)
        was_over = state.run in TERMINAL
        if isinstance(event, IntentChanged):
            intent = event.intent
        if isinstance(event, Exited):
            living.discard(event.ending.attempt)
        stopping = state.stop is not None
        if isinstance(event, StartFailed) and (state.run is RunState.LAUNCHING or stopping):
            living.discard(event.attempt)
        is_open = state.gate.stage is GateStage.OPEN
        state, effects = step(state, event, now)
        if any(isinstance(effect, Launch) for effect in effects):
            assert is_open == policy.has_launch_hook, "launched without the hook, or asked in vain"
        assert not (was_over and effects), "a final state did something"
        check(state, effects, living, intent)


def check(state: State, effects: tuple[Effect, ...], living: set[int], intent: Intent) -> None:
    """Assert the invariants after one step; `living` are the attempts that run."""
    for effect in effects:
        if isinstance(effect, Launch):
            assert not living, "two attempts alive"
            assert intent is Intent.RUN, "launched against the operator's wish"
            assert state.run is RunState.LAUNCHING
            living.add(effect.attempt)
    assert state.alive == bool(living) or state.run in TERMINAL
    assert (state.run in TERMINAL) or not any(isinstance(e, Exit) for e in effects)
    if state.run in TERMINAL and effects:
        assert sum(isinstance(e, Exit) for e in effects) == 1
    if any(isinstance(e, SurveyCheckpoints) for e in effects):
        assert state.surveying
    match state.run:
        case RunState.BACKOFF | RunState.WAITING | RunState.KILLING:
            assert state.wake_at is not None, "a wait that nothing ends"
        case RunState.DRAINING if state.alive:
            assert state.wake_at is not None, "a wait that nothing ends"
        case RunState.DRAINING | RunState.LAUNCHING:
            waits = is_waiting(state) and state.wake_at is not None
            ends = state.surveying or state.alive or waits or is_asked(state)
            assert ends, "a wait that nothing ends"
        case _:
            pass


@given(st.integers(1, 6), st.integers(1, 30))
def test_a_crash_loop_always_ends(max_failures: int, rounds: int) -> None:
    """Deaths without progress hold the run after exactly `max_failures`, whatever the waits."""
    now, launches = 0.0, 0
    state = State(policy=Policy(max_failures=max_failures, max_per_day=1000), at=now)
    state, _ = step(state, Begun(Intent.RUN), now)
    for _ in range(rounds):
        if state.run in TERMINAL:
            break
        if state.run is RunState.BACKOFF:
            assert state.wake_at is not None
            now = state.wake_at
            state, _ = step(state, Tick(), now)
        state, effects = step(state, Surveyed(), now)
        launches += sum(isinstance(e, Launch) for e in effects)
        state, _ = step(state, Started(state.attempt), now)
        now += 1.0
        state, _ = step(state, Exited(Ending(state.attempt, 1, None)), now)
        state, _ = step(state, Surveyed(), now)
    assert launches == min(max_failures, rounds)
    assert (state.run is RunState.HELD) == (rounds >= max_failures)
