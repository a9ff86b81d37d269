"""Reactions to what is known of the checkpoints: the place where decisions are carried out."""

from dataclasses import replace

from supervisor.core.effects import Effect, Exit, Incident, Launch, Record, Rescue, Say, SetAside
from supervisor.core.ending import Advice, Ending
from supervisor.core.entries.saves import GoingBackEntry, ProgressEntry
from supervisor.core.events import Surveyed, SurveyFailed
from supervisor.core.launch_gate import LaunchGate
from supervisor.core.reactions.hold import MENDED, hold
from supervisor.core.reactions.launch_hook import (
    ask_first,
    closed,
    is_asked_first,
    without_brought,
)
from supervisor.core.reactions.operator import unread
from supervisor.core.reactions.own_save import end_after_save
from supervisor.core.reactions.persist_snapshot import (
    ahead_of_disk,
    newest_durable,
    wait_for_rescue,
    waits_first,
    with_loss,
)
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.reactions.records import attempt_ended, decision_entry, plain_decision
from supervisor.core.rules.budget import is_ahead, with_progress
from supervisor.core.rules.checkpoint_choice import doubt
from supervisor.core.rules.decision import Decision, Verdict
from supervisor.core.rules.exit_codes import ExitRule
from supervisor.core.rules.patience import beyond
from supervisor.core.rules.restart_policy import began_by, decide
from supervisor.core.rules.warm_launch import patience_s, trust_after, why_cold
from supervisor.core.states import Activity, Budget, Checkpoint, State
from supervisor.core.vocabulary import Action, ExitCode, Failure, Intent, Nature, RunState

SURVEY_RETRY_S = 15.0


def on_surveyed(state: State, event: Surveyed, now: float) -> Reaction:
    """The checkpoints are known: decide, where a decision waits for them."""
    event, brought = without_brought(state, event)
    newest = newest_durable(event.candidates)
    if not (event.deciding and state.surveying):
        budget = with_progress(state.budget, event.candidates, ahead=is_ahead(state))
        notes = _progress(state.budget, budget)
        is_new = budget != state.budget
        hung_at = beyond(state.hung_at, budget.progress_step, is_new=is_new)
        state = replace(state, newest=newest, budget=budget, hung_at=hung_at)
        if (made := end_after_save(state, event)) is not None:
            return replace(made, effects=(*notes, *made.effects))
        return Reaction("news", state, notes)
    decision = decide(state, event, now, rollback=state.rollback)
    if brought and decision.verdict is Verdict.LAUNCH:
        decision = replace(decision, later=brought)
    ahead = ahead_of_disk(event.candidates)
    if ahead is not None and event.unmounted is None and waits_first(state, decision, ahead):
        return wait_for_rescue(state, ahead, event.invalid, now)
    decision = with_loss(state, decision, ahead)
    ending, incidents = state.ending, list[Effect]()
    asks, launches = is_asked_first(state, decision), decision.verdict is Verdict.LAUNCH
    progressed = with_progress(state.budget, event.candidates, ahead=is_ahead(state))
    effects: list[Effect] = [*_progress(state.budget, progressed)]
    # A checkpoint from before a hang is no progress beyond it.
    has_hung = ending is not None and ending.failure is Failure.HANG
    is_further = progressed != state.budget and not has_hung
    if ending is not None:
        effects.append(Record(attempt_ended(state, ending, decision)))
        if _is_incident(ending, decision):
            incidents.append(_incident(ending, decision, asks=asks))
        asked, began = state.stop is not None, began_by(state, ending, now)
        warm = trust_after(state.warm, decision.action, began=began, was_asked=asked)
        state = replace(state, warm=warm)
    before, is_kept = state, asks and state.rollback
    state = replace(
        state,
        surveying=False,
        newest=newest,
        budget=decision.budget,
        hung_at=beyond(state.hung_at, decision.budget.progress_step, is_new=is_further),
        failure=decision.failure or state.failure,
        action=decision.action if decision.failure else state.action,
        reason=decision.reason or state.reason,
        advice=_advice(state, ending, decision),
        rollback=is_kept or (decision.action is Action.ROLLBACK and (asks or not launches)),
        ending=None,
        doubt=state.doubt if ending is None else decision.doubt,
        rescue=None,
        wake_at=None,
    )
    if asks:
        background = () if state.rollback else _rescue(event, decision)
        return ask_first(state, before, event, decision, [*effects, *background], incidents)
    state = replace(state, gate=closed(state.gate))
    if launches:
        # Incidents come last: to collect their evidence takes longer than all else between a death
        # and the next launch.
        reaction = _carry_out(state, event, decision, effects, now)
        return replace(reaction, effects=(*reaction.effects, *incidents))
    return _carry_out(state, event, decision, [*effects, *incidents], now)


def _advice(state: State, ending: Ending | None, decision: Decision) -> Advice | None:
    """The advice for the failure of the last attempt, which a decision may have named anew."""
    if ending is None:
        return state.advice
    return ending.advice if decision.failure == ending.failure else None


def _progress(before: Budget, after: Budget) -> tuple[Effect, ...]:
    if after == before:
        return ()
    new = [one for one in after.progress_places if one not in before.progress_places]
    entry = ProgressEntry(
        step=after.progress_step,
        written=after.progress_written,
        place=new[0][0] if new else None,
    )
    return (Record(entry),)


def _carry_out(
    state: State, survey: Surveyed, decision: Decision, effects: list[Effect], now: float
) -> Reaction:
    match decision.verdict:
        case Verdict.LAUNCH:
            state, launch = _launch(state, survey, decision, now)
            rescue = _rescue(survey, decision)
            return Reaction("launch", state, (*effects, *launch, *rescue))
        case Verdict.BACKOFF | Verdict.WAIT:
            wait_s = decision.wait_s or 0.0
            record = decision_entry(decision, wait_s=wait_s)
            state = replace(state, wake_at=now + wait_s)
            if decision.verdict is Verdict.WAIT:
                state = replace(state, full_place=decision.place, full_looks=0)
                line = (
                    f"waiting: {decision.reason}; the run goes on by itself when the cause clears"
                )
                return Reaction("wait", state, (*effects, Record(record), Say(line)))
            line = f"attempt {state.attempt}: {decision.reason}; the next attempt in {wait_s:.1f} s"
            rescue = _rescue(survey, decision) if not state.rollback else ()
            return Reaction("backoff", state, (*effects, Record(record), Say(line), *rescue))
        case Verdict.HOLD:
            why, failure, code = decision.reason, decision.failure, decision.exit_code
            once = None
            if code == ExitCode.HELD:
                once = "to go on" if state.intent is Intent.HOLD else MENDED
            return hold(state, "hold", why, failure, code=code, once=once, notes=effects)
        case Verdict.FINISHED:
            ends = (Record(decision_entry(decision)), Say(decision.reason), Exit(ExitCode.FINISHED))
            return Reaction("finished", state, (*effects, *ends))
        case Verdict.PREEMPTED | Verdict.STOPPED:
            ends = (
                Record(decision_entry(decision)),
                Say(decision.reason),
                Exit(ExitCode.PREEMPTED),
            )
            return Reaction(decision.verdict.value, state, (*effects, *ends))


def _rescue(survey: Surveyed, decision: Decision) -> tuple[Effect, ...]:
    """In the background, put a snapshot that only memory has onto the disk as soon as possible."""
    if survey.unmounted is not None:
        return ()  # it would land under the bare mount point, where the mount hides it later
    ahead = ahead_of_disk(survey.candidates, decision.later)
    return () if ahead is None else (Rescue("nothing else holds its steps"),)


def _launch(
    state: State, survey: Surveyed, decision: Decision, now: float
) -> tuple[State, tuple[Effect, ...]]:
    attempt = state.attempt + 1
    chosen = decision.checkpoint
    effects: list[Effect] = []
    steps = (state.resumed_step, None if chosen is None else chosen.step)
    resumed = [step for step in steps if step is not None]
    doubted = None if chosen is None or attempt == 1 else doubt(chosen, state)
    if survey.invalid or decision.later:
        step = chosen.step if chosen else None
        if decision.later:
            # On record before the moves: a daemon that is killed between them leaves the rest to
            # the next.
            effects.append(Record(GoingBackEntry(step=step, later=decision.later)))
        effects.append(SetAside(survey.invalid, decision.later, step))
    state = replace(
        state,
        attempt=attempt,
        alive=True,
        gate=LaunchGate(),
        stop=None,
        kill=None,
        back_to=None,
        checkpoint=chosen,
        newest=newest_durable(survey.candidates, decision.later),
        activity=Activity(started_at=now),
        description=None,
        described_entries=0,
        training_places=(),
        named_place=None,
        trainer_told=(),
        elsewhere=None,
        reached_before=state.reached_step,
        progress_before=(state.budget.progress_step, state.budget.progress_written),
        resumed_step=max(resumed, default=None),
        begun_at=_begun_at(chosen, state),
        end_unseen=False,
    )
    if chosen is not None and decision.later:
        name = chosen.path.rpartition("/")[2]
        effects.append(Say(f"going back to {name}: later checkpoints are set aside"))
    if decision.failure is not None:
        effects.append(Say(f"attempt {attempt - 1}: {decision.reason}; relaunching at once"))
    if doubted is not None:
        effects.append(Say(doubted, is_doubt=True))
    mode = state.policy.launch_mode
    why = why_cold(state.parked, mode, state.warm)
    patience = 0.0 if why else patience_s(state.parked, mode, state.times, now)
    return state, (*effects, Launch(attempt, chosen, why, patience))


def _begun_at(chosen: Checkpoint | None, state: State) -> int | None:
    if chosen is not None:
        return chosen.step
    return None if state.policy.trainer_finds_checkpoints else 0


def on_survey_failed(state: State, event: SurveyFailed, now: float) -> Reaction:
    """The checkpoint directory cannot be read: look again later, launch nothing over it."""
    if not (event.deciding and state.surveying):
        return Reaction("news", state)
    failure, reason = Failure.FILESYSTEM, event.reason
    gate = closed(state.gate)
    state = replace(state, surveying=False, rescue=None, reason=reason, failure=failure, gate=gate)
    if state.run is RunState.DRAINING:
        return unread(state, "unreadable", reason)
    state = replace(state, action=Action.BACKOFF, wake_at=now + SURVEY_RETRY_S)
    entry = plain_decision(RunState.WAITING, failure, Action.BACKOFF, reason, SURVEY_RETRY_S)
    return Reaction("unreadable", state, (Record(entry), Say(f"waiting: {reason}")))


def _is_incident(ending: Ending, decision: Decision) -> bool:
    if ending.ended_by_us:
        return False  # It became an incident, with stacks, when it was found to hang.
    if decision.exit_rule is ExitRule.FREE:
        return False  # No budget limits their number, and each incident takes up to 64 KiB of log.
    failure = decision.failure
    return failure is not None and failure.nature is not Nature.ORDINARY


def _incident(ending: Ending, decision: Decision, *, asks: bool) -> Incident:
    done = {
        Verdict.LAUNCH: "relaunched at once",
        Verdict.BACKOFF: "relaunched after a pause",
        Verdict.WAIT: "waiting until the cause clears",
        Verdict.HOLD: "held: a human has to look",
    }.get(decision.verdict, "none")
    if asks:
        done = "relaunched once the hook before_launch lets it pass"
    if decision.exit_rule is not None:
        done += f" (restart.exit_codes: {decision.exit_rule})"
    what, failure = ending.reason or decision.reason, decision.failure or Failure.UNKNOWN
    return Incident(ending.attempt, failure, what, ending.evidence, done)
