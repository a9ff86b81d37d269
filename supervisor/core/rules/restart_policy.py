"""What to do once an attempt has ended, or before the first: the restart policy, as values."""

from dataclasses import replace

from supervisor.core.ending import Doubt, Ending
from supervisor.core.events import Surveyed
from supervisor.core.job import IN_WORDS, JobEnd
from supervisor.core.rules import disk_space
from supervisor.core.rules.budget import (
    ROLLBACK_REPEATS,
    backoff_s,
    exhausted,
    is_ahead,
    with_failure,
    with_free_restart,
    with_headway,
    with_progress,
)
from supervisor.core.rules.completion import failure_of, weigh_exit
from supervisor.core.rules.decision import Decision, Verdict
from supervisor.core.rules.exit_codes import ExitRule, RuledExit, rule_of
from supervisor.core.rules.outage import (
    Outage,
    ended_training,
    made_headway,
    outage_of,
    remembered,
    weigh,
    with_outage,
)
from supervisor.core.rules.saved_by_stop import what_was_saved
from supervisor.core.rules.starting_point import held_anyway, launch
from supervisor.core.rules.warm_launch import has_begun, tries_cold
from supervisor.core.states import Budget, State, Stop
from supervisor.core.vocabulary import (
    Action,
    ExitCode,
    Failure,
    Intent,
    Relaunch,
    StopSource,
    Tier,
)
from supervisor.core.wording import HOLD_ASKED, counted

# An older checkpoint has the same shapes, and reads the same data.
_NOT_BY_ROLLBACK = frozenset({Failure.DATA_CORRUPT, Failure.CHECKPOINT_MISMATCH})


def decide(state: State, survey: Surveyed, now: float, *, rollback: bool) -> Decision:
    """What to do now that nothing runs and the checkpoints are known."""
    budget = with_progress(state.budget, survey.candidates, ahead=is_ahead(state))
    ending = state.ending
    asked = state.stop is not None and not _was_withdrawn(state)
    if ending is None:
        if asked:
            return _stopped(state, "; nothing was running", budget)
        if state.intent is Intent.HOLD:
            return Decision(Verdict.HOLD, state.failure, Action.HOLD, HOLD_ASKED, budget)
        return launch(state, survey, budget, None, Action.RESTART, "", rollback=rollback)
    if asked and not _is_finished_all_the_same(state, survey, ending):
        return _after_stop(state, survey, ending, budget)
    if _is_finished(state, survey, ending) and not _ended_by_stop(state, ending):
        reason = f"attempt {ending.attempt} finished{_at(ending.step)}"
        if not state.policy.has_finish_condition:
            reason += weigh_exit(state, survey, ending).told
        return Decision(Verdict.FINISHED, Failure.COMPLETED, Action.NONE, reason, budget)
    if state.stop is not None:
        return launch(state, survey, budget, None, Action.RESTART, "the stop was taken back")
    ruled = rule_of(state.policy.exit_codes, ending)
    rule = None if ruled is None else ruled.rule
    is_held = rule is ExitRule.HOLD or state.intent is Intent.HOLD
    if ending.failure is not Failure.DISK_FULL and not is_held:
        began = began_by(state, ending, now)
        if tries_cold(state.warm, state.launched, began=began):
            why = (
                "the attempt was launched warm and made no step: launched again, cold, at no charge"
            )
            why, name = f"{ending.reason}; {why}" if ending.reason else why, ending.failure
            return launch(state, survey, budget, name, Action.RESTART_COLD, why, rollback=rollback)
    decision = _after_failure(state, survey, ending, budget, now, ruled)
    if decision.verdict is Verdict.BACKOFF:
        decision = held_anyway(state, survey, decision)
    decision = replace(decision, doubt=_doubt(state, survey, ending), exit_rule=rule)
    return replace(decision, ended_training=ended_training(state, survey, ending, budget))


def began_by(state: State, ending: Ending, now: float) -> bool:
    """Whether the attempt that ended had come to its first step."""
    return has_begun(
        first_step_seen=ending.first_step_seen or state.activity.first_step_seen,
        attached=ending.attached,
        step=ending.step,
        ran_s=now - state.activity.started_at,
    )


def _is_finished_all_the_same(state: State, survey: Surveyed, ending: Ending) -> bool:
    """Whether the training is finished although a stop was asked for.

    After a stop, exit code 0 means nothing: Lightning and HF exit so on SIGTERM. It counts only if
    it came before the stop, or if the finish condition of the configuration is met.
    """
    if not _is_finished(state, survey, ending):
        return False
    return state.policy.has_finish_condition or (state.stop is not None and state.stop.late)


def _ended_by_stop(state: State, ending: Ending) -> bool:
    """Whether an exit with 0 may be the answer to a stop that was taken back meanwhile.

    Training goes on then. A training that was done after all makes no step and exits with 0 again.
    """
    if state.stop is None or state.stop.late or state.policy.has_finish_condition:
        return False
    record = ending.record
    return record is None or record.step < record.total


def _was_withdrawn(state: State) -> bool:
    stop, goes_on = state.stop, state.intent is Intent.RUN
    return stop is not None and goes_on and _asker(state, stop) is StopSource.INTENT


def _asker(state: State, stop: Stop) -> StopSource:
    """Who wants the stop now. Once the intent is taken back, a signal that came besides counts."""
    return stop.by if state.intent is not Intent.RUN or stop.besides is None else stop.besides


def _after_stop(state: State, survey: Surveyed, ending: Ending, budget: Budget) -> Decision:
    assert state.stop is not None
    durable = tuple(c for c in survey.candidates if c.tier != Tier.MEMORY)
    saved = what_was_saved(state.stop, durable, ending, survey.clock_ahead_s)
    words = saved.words
    if survey.unseen is not None and not survey.candidates:
        # "Nothing was saved" would not be true.
        words = f"; no checkpoint is seen: {survey.unseen}; until then the next start is held"
    decision = _stopped(state, words, budget, saved=saved.is_saved)
    if state.job is None or _asker(state, state.stop).is_user:
        return decision
    idle = budget.idle_stops.counted((budget.progress_step, budget.progress_written))
    budget = replace(budget, idle_stops=idle)
    decision = replace(decision, budget=budget)
    if idle.count < state.policy.max_failures:
        return decision
    # A job that is requeued for ever would hold GPUs for ever, and never get further.
    reason = (
        f"{decision.reason}; {counted(idle.count, 'job')} in a row ended without a newer validated"
        f" checkpoint (restart.max_failures: {state.policy.max_failures})"
    )
    return replace(decision, verdict=Verdict.HOLD, action=Action.HOLD, reason=reason)


def _stopped(state: State, what: str, budget: Budget, *, saved: bool | None = None) -> Decision:
    stop = state.stop
    assert stop is not None
    asker = _asker(state, stop)
    by, by_user = asker.shown, asker.is_user
    end = None if state.job is None else state.job.end
    if end is not None and not by_user:
        by = f"{by} ({IN_WORDS[end]})"
    outcome = f"stopped by {by}{what}"
    failure = Failure.STOPPED_BY_USER if by_user else Failure.PREEMPTED
    if not by_user and end is JobEnd.TIME_LIMIT:
        failure = Failure.TIME_LIMIT
    elif not by_user and end is JobEnd.CANCELLED:
        failure = Failure.CANCELLED
    verdict = Verdict.STOPPED if state.intent is Intent.STOP else Verdict.PREEMPTED
    action = Action.NONE if by_user or failure is Failure.CANCELLED else Action.RESUME_LATER
    return Decision(verdict, failure, action, outcome, budget, saved=saved)


def _is_finished(state: State, survey: Surveyed, ending: Ending) -> bool:
    policy = state.policy
    if not policy.has_finish_condition:
        return ending.effective_code == 0 and _doubt(state, survey, ending) is None
    if policy.finish_step is not None:
        steps = [c.step for c in survey.candidates if c.step is not None and c.tier != Tier.MEMORY]
        if ending.step is not None and ending.effective_code == 0:
            # A death at the last step may have come before that step was saved.
            steps.append(ending.step)
        return max(steps, default=-1) >= policy.finish_step
    return ending.finish_met is True


def _doubt(state: State, survey: Surveyed, ending: Ending) -> Doubt | None:
    """Why an exit with 0 is not taken for the end of training."""
    if ending.effective_code != 0 or state.policy.has_finish_condition:
        return None
    return weigh_exit(state, survey, ending).doubt


def _after_failure(
    state: State,
    survey: Surveyed,
    ending: Ending,
    before: Budget,
    now: float,
    ruled: RuledExit | None,
) -> Decision:
    policy = state.policy
    code = ending.effective_code
    if code == 0:
        failure, action, reason = failure_of(state, survey, ending, _doubt(state, survey, ending))
        ending = replace(ending, failure=failure, action=action, reason=reason)
    ending = weigh(state, survey, ending, before)
    rule, outage = None, outage_of(state, survey, ending, before)
    if ruled is not None:
        rule, ending = ruled.rule, ruled.of(ending)
        outage = Outage.OUTSIDE if rule is ExitRule.BACKOFF else None
    waits_for_room = ending.failure is Failure.DISK_FULL and rule is None
    failure, action, reason = ending.failure, ending.action, ending.reason
    action = action if outage is None else Action.BACKOFF
    is_unseen = policy.trainer_finds_checkpoints and not survey.exists and not survey.candidates
    if is_unseen and ending.step is not None and is_ahead(state):
        # This trainer's checkpoints are not seen: only its log tells how far it comes.
        before = with_headway(before)
    if rule is ExitRule.FREE:
        return _after_free(state, survey, ending, before)
    progressed = before.progressed or made_headway(state, survey)
    if waits_for_room:
        budget = disk_space.with_full_disk(before, now)
    elif outage is not None:
        budget = with_outage(before, outage, policy, now)
    else:
        budget = with_failure(before, ending, now)
    if ended_training(state, survey, ending, before):
        budget = remembered(budget, ending)

    def hold(why: str, name: Failure = failure) -> Decision:
        return Decision(Verdict.HOLD, name, Action.HOLD, why, budget)

    if code == ExitCode.CONFIGURATION:
        return hold(
            reason or "the trainer says that its configuration is wrong (78)",
            Failure.CONFIGURATION,
        )
    if failure is Failure.CONFIGURATION and rule is None:
        return hold(reason)
    if state.intent is Intent.HOLD:
        return hold(HOLD_ASKED, failure)
    spent = exhausted(budget, policy)
    if waits_for_room:
        full = disk_space.why_held(budget, policy, ending.full_place)
        if full is not None:
            return hold(f"{reason}; {full}")
        decision = Decision(Verdict.WAIT, failure, Action.WAIT, reason, budget)
        return replace(decision, wait_s=disk_space.wait_s(budget), place=ending.full_place)
    if action.needs_human:
        return hold(reason)
    if spent is not None:
        return hold(f"{reason}; {spent}" if reason else spent)
    if outage is not None:
        wait = backoff_s(policy, budget.outages, ending.attempt)
        return Decision(Verdict.BACKOFF, failure, action, reason, budget, wait_s=wait)
    rollback = budget.repeats == ROLLBACK_REPEATS or action is Action.ROLLBACK
    if failure in _NOT_BY_ROLLBACK:
        rollback, action = False, Action.RESTART
    action = Action.ROLLBACK if rollback else action
    if code == ExitCode.PREEMPTED or (progressed and action.relaunch is not Relaunch.AFTER_A_PAUSE):
        return launch(state, survey, budget, failure, action, reason, rollback=rollback)
    wait = backoff_s(policy, budget.failures, ending.attempt)
    return Decision(Verdict.BACKOFF, failure, action, reason, budget, wait_s=wait)


def _after_free(state: State, survey: Surveyed, ending: Ending, before: Budget) -> Decision:
    """The relaunch after an end that the user calls free; its pause grows without progress."""
    budget, failure, reason = with_free_restart(before), ending.failure, ending.reason
    if state.intent is Intent.HOLD:
        return Decision(Verdict.HOLD, failure, Action.HOLD, HOLD_ASKED, budget)
    # `progressed` is left to the next failure, which is charged.
    is_first = before.progressed and before.free_restarts == 0
    if is_first or made_headway(state, survey):
        return launch(state, survey, budget, failure, ending.action, reason)
    wait = backoff_s(state.policy, budget.free_restarts, ending.attempt)
    return Decision(Verdict.BACKOFF, failure, ending.action, reason, budget, wait_s=wait)


def _at(step: int | None) -> str:
    return "" if step is None else f" at step {step}"
