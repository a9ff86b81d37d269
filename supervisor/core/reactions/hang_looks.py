"""A hang is shown, not timed: past its deadline an attempt is looked at, and what is seen decides.

The deadline says when to look. If nothing moves, or a rank is missing, the attempt hangs. If
something moves, it is at work: the daemon says so once and looks again. Only after ten deadlines
without a step is that taken for a hang as well. A loop that gives only signs of life is never ended
while something moves.
"""

from dataclasses import replace

from supervisor.core.effects import Look, Record, Say, TakeStacks
from supervisor.core.entries.attempt import LookedEntry
from supervisor.core.events import Looked, Observed
from supervisor.core.look_facts import Health, Judgement, Looks
from supervisor.core.reactions.kill import end_hung, end_lingering
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.rules.hang_evidence import Sight, Sighting, judge
from supervisor.core.rules.patience import doublings, longest_s
from supervisor.core.states import State
from supervisor.core.vocabulary import Failure, Phase, RunState

SPAN_S = 10.0
# A short configured deadline asks for a quick answer. Less time than this between the first look
# and the last would say nothing.
SHORTEST_SPAN_S = 5.0
# The looks take their span and a few seconds. Without an answer in this time they are taken again.
ANSWER_S = 60.0
# The pauses between looks at a loop that gives only signs of life double, up to this.
LONGEST_PAUSE_S = 3600.0


def within_deadline(state: State) -> State:
    """The state after a sign of life: it forgets the looks at an overdue attempt."""
    looks = state.activity.looks
    if looks.overdue is None:
        return state
    looks = replace(looks, overdue=None, asked_at=None, next_at=None, is_quiet_told=False)
    return _with(state, looks)


def on_overdue(state: State, event: Observed, judged: Judgement, now: float) -> Reaction:
    """The attempt is past its deadline: order looks, unless they are under way or not yet due."""
    looks = replace(state.activity.looks, overdue=judged)
    state = _with(state, looks)
    factor = _factor(state, judged)
    if judged.age_s <= judged.limit_s * factor:
        return _wait_longer(state, judged, factor)
    if judged.health is Health.SILENT and not event.stood_still:
        # The trainer computes without printing, or its counters were not measured yet.
        return report_silence(state, judged.why, "silent")
    if looks.asked_at is not None and now - looks.asked_at < ANSWER_S:
        return Reaction("overdue", state)
    is_endless = judged.age_s > longest_s(judged, factor) + ANSWER_S
    if looks.asked_at is not None and is_endless and judged.health is not Health.QUIET:
        return _end(state, judged, "the attempt could not be looked at", now)
    if looks.asked_at is None and looks.next_at is not None and now < looks.next_at:
        return Reaction("overdue", state)
    span_s = min(SPAN_S, max(SHORTEST_SPAN_S, judged.limit_s))
    state = _with(state, replace(looks, asked_at=now))
    return Reaction("overdue", state, (Look(state.attempt, now, span_s),))


def _factor(state: State, judged: Judgement) -> int:
    """By how much the deadline is longer after attempts that were ended as hung at this step."""
    return 2 ** doublings(state) if judged.health in {Health.OVERDUE, Health.QUIET} else 1


def _wait_longer(state: State, judged: Judgement, factor: int) -> Reaction:
    looks = state.activity.looks
    if looks.is_patience_told:
        return Reaction("overdue", state)
    state = _with(state, replace(looks, is_patience_told=True))
    limit = _time(judged.limit_s * factor)
    earlier = "An earlier attempt was ended as hung at this step. This attempt may be at work there"
    if judged.health is Health.QUIET:
        earlier = "An earlier attempt was ended as hung. This attempt may be at work"
    line = f"{judged.why}. {earlier}, so it is given {limit}"
    return Reaction("overdue", state, (Say(line),))


def on_looked(state: State, event: Looked, now: float) -> Reaction:
    """The looks are answered: end the attempt, or go on and look again."""
    looks = state.activity.looks
    judged = looks.overdue
    is_answer = event.attempt == state.attempt and event.asked_at == looks.asked_at
    if state.run is not RunState.RUNNING or judged is None or not is_answer:
        return Reaction("noted", state)
    seen = judge(event)
    longest = longest_s(judged, _factor(state, judged))
    if seen.sight in {Sight.STILL, Sight.MISSING}:
        return _end(state, judged, seen.what, now)
    if judged.health is Health.QUIET:
        return _still_quiet(state, judged, seen, now)
    is_over = judged.age_s >= longest
    if is_over and (judged.health is not Health.SILENT or seen.sight is Sight.UNCLEAR):
        # An endless retry looks like work. Without a step in so long a time it is a hang.
        return _end(state, judged, f"{seen.what}, but no step came for so long", now)
    # Look again when it has stood twice as long: by then a hang that follows work is found.
    pause_s = min(max(judged.age_s, SPAN_S), max(longest - judged.age_s, 0.0))
    looks = replace(looks, asked_at=None, next_at=now + pause_s)
    state = _with(state, looks)
    if judged.health is Health.SILENT:
        return report_silence(state, judged.why, "silent")
    return _tell(state, judged, seen, longest)


def _tell(state: State, judged: Judgement, seen: Sighting, longest: float) -> Reaction:
    looks = state.activity.looks
    if looks.is_work_told:
        return Reaction("at work", state)
    state = _with(state, replace(looks, is_work_told=True))
    is_work = seen.sight is Sight.WORK
    verdict = "the attempt is at work" if is_work else "that is no proof of a hang"
    line = (
        f"{judged.why}; {seen.what}: {verdict}. The supervisor looks again, and takes the"
        f" attempt for hung {_time(longest)} after its last sign of life"
    )
    if is_work and judged.health is Health.OVERDUE and state.activity.phase is Phase.STEP:
        line += '; `with run.phase("eval")` around this work gives it a deadline of its own'
    entry = LookedEntry(attempt=state.attempt, is_work=is_work, why=judged.why, seen=seen.what)
    return Reaction("at work", state, (Record(entry), Say(line)))


def _still_quiet(state: State, judged: Judgement, seen: Sighting, now: float) -> Reaction:
    """Leave a loop alone that gives no sign, and that nothing shows to hang; tell it once."""
    looks, is_work = state.activity.looks, seen.sight is Sight.WORK
    pause_s = min(max(judged.age_s, SPAN_S), LONGEST_PAUSE_S)
    is_told, is_recorded = looks.is_quiet_told, looks.is_work_told
    looks = replace(looks, asked_at=None, next_at=now + pause_s)
    state = _with(state, replace(looks, is_quiet_told=True, is_work_told=True))
    if is_told:
        return Reaction("at work", state)
    verdict = "the attempt is at work" if is_work else "that is no proof of a hang"
    done = "stacks taken; the attempt goes on"
    line = (
        f"{judged.why}; {seen.what}: {verdict}. Stacks are taken, and the attempt goes on. It is"
        " ended only if nothing moves"
    )
    stacks = TakeStacks(state.attempt, Failure.HANG, f"{judged.why}; {seen.what}", done)
    entry = LookedEntry(attempt=state.attempt, is_work=is_work, why=judged.why, seen=seen.what)
    notes = () if is_recorded else (Record(entry),)
    return Reaction("at work", state, (*notes, stacks, Say(line)))


def _end(state: State, judged: Judgement, seen: str, now: float) -> Reaction:
    why = f"{judged.why}; {seen}"
    if judged.health is Health.LINGERING:
        return end_lingering(state, why, now)
    # Without a step the time is booked as unknown, not as training.
    has_steps = judged.health is Health.QUIET and state.activity.step is not None
    lost_s = judged.age_s if judged.health is Health.OVERDUE or has_steps else 0.0
    return end_hung(state, why, lost_s, now)


def report_silence(state: State, why: str, condition: str) -> Reaction:
    """Take stacks and say so, once, of a silent trainer that is known only by its log."""
    if state.activity.silence_reported:
        return Reaction(condition, state)
    state = replace(state, activity=replace(state.activity, silence_reported=True))
    stacks = TakeStacks(state.attempt, Failure.HANG, why, "stacks taken; the attempt goes on")
    return Reaction(condition, state, (stacks, Say(f"silent: {why}; stacks taken")))


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120.0 else f"{seconds / 60.0:.0f} min"


def _with(state: State, looks: Looks) -> State:
    return replace(state, activity=replace(state.activity, looks=looks))
