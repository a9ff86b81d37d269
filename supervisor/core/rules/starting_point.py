"""What the next attempt begins from, a checkpoint or nothing; or why it must not begin."""

from dataclasses import replace

from supervisor.core.events import Surveyed
from supervisor.core.rules.checkpoint_choice import later_than, newest_but_left, one_further_back
from supervisor.core.rules.decision import Decision, Verdict
from supervisor.core.states import Budget, Checkpoint, State
from supervisor.core.vocabulary import Action, ExitCode, Failure, Tier

_NOT_TOLD = "the trainer is not told to resume"
TELL_IT = '`resume: {args: [--resume, "{checkpoint}"]}`'


def launch(
    state: State,
    survey: Surveyed,
    budget: Budget,
    failure: Failure | None,
    action: Action,
    reason: str,
    *,
    rollback: bool = False,
) -> Decision:
    """The decision to launch, with the checkpoint to resume from, or why nothing is launched."""
    decision = Decision(Verdict.LAUNCH, failure, action, reason, budget)
    candidates = survey.candidates
    if survey.taken is not None:
        return _hold(decision, Failure.CONFIGURATION, survey.taken, ExitCode.CONFIGURATION)
    if survey.undecided:
        listed = ", ".join(survey.undecided[:3])
        return _hold(
            decision,
            Failure.CONFIGURATION,
            f"there are checkpoints that this run did not make: {listed}; in"
            f" {state.policy.config_path} write `resume: {{existing: use}}` or"
            " `resume: {existing: ignore}`",
            ExitCode.CONFIGURATION,
        )
    lost = _lost(state, survey, decision)
    if lost is not None:
        return lost
    if not candidates:
        return _from_nothing(state, survey, decision)
    chosen = newest_but_left(candidates, state.back_to)
    if chosen.kind == "final" and chosen.own_run and _stands_for_the_end(state):
        return Decision(
            Verdict.FINISHED,
            Failure.COMPLETED,
            Action.NONE,
            f"the final checkpoint is at {chosen.path}",
            budget,
        )
    if rollback:
        chosen = one_further_back(candidates, chosen)
    if _ignores_checkpoints(state, candidates):
        # A generic line would be refused by a tool that has another option.
        how = (
            f"write {TELL_IT}," if survey.how_to_resume is None else f"for {survey.how_to_resume};"
        )
        return _hold(
            decision,
            Failure.CONFIGURATION,
            f"{_NOT_TOLD}, and would start from nothing over its checkpoints: in"
            f" {state.policy.config_path} {how}"
            " or `resume: {by: trainer}` if it finds them itself",
        )
    return replace(decision, checkpoint=chosen, later=later_than(candidates, chosen))


def held_anyway(state: State, survey: Surveyed, wait: Decision) -> Decision:
    """The hold that a wait before the next launch would only delay; else that wait.

    No trainer runs meanwhile, so it has no way to learn where to resume after the wait either.
    """
    if survey.taken is not None or survey.undecided:
        return wait
    after = launch(state, survey, wait.budget, wait.failure, wait.action, wait.reason)
    is_sure = after.failure in (Failure.CONFIGURATION, Failure.CHECKPOINTS_UNSEEN)
    return after if after.verdict is Verdict.HOLD and is_sure else wait


def _lost(state: State, survey: Surveyed, decision: Decision) -> Decision | None:
    """What to do where valid checkpoints are on record and none is on the disk; else None.

    What lies below a bare mount point does not end the wait for the mount if there is a hook
    `before_launch`: the hook may have brought it.
    """
    on_disk = any(candidate.tier != Tier.MEMORY for candidate in survey.candidates)
    is_missing = survey.missing is not None and not on_disk
    is_brought = survey.unmounted is not None and state.policy.has_launch_hook
    if state.begin_again or not (is_missing or is_brought):
        return None
    if survey.unmounted is not None:
        # Wait even if memory holds a snapshot: the next save would land under the mount point.
        why = f"nothing is mounted on {survey.unmounted}"
        if is_missing:
            why = f"{survey.missing}; {why} (mount it, or {_from_nothing_line(state)})"
        else:
            why += (
                ", which held this run's checkpoints (mount it; or, to go on with what is below it,"
                " start the run once without the hook before_launch)"
            )
        return replace(
            decision,
            verdict=Verdict.WAIT,
            failure=Failure.CHECKPOINTS_MISSING,
            action=Action.WAIT,
            reason=why,
            wait_s=0.0,
            may_be_brought=True,
        )
    if survey.candidates:
        return None
    why = f"{survey.missing}; put them back, or {_from_nothing_line(state)}"
    return replace(_hold(decision, Failure.CHECKPOINTS_MISSING, why), may_be_brought=True)


def _from_nothing(state: State, survey: Surveyed, decision: Decision) -> Decision:
    """No checkpoint can be resumed from: begin, unless that would lose something."""
    policy = state.policy
    if survey.torn_first is not None:
        what = (
            f"{survey.torn_first}, the first save, was cut off, and there is no checkpoint before"
            " it"
        )
        reason = f"{decision.reason}; {what}" if decision.reason else what
        return replace(decision, reason=reason)
    if survey.exists and not policy.start_fresh_if_none_valid:
        if survey.ended is not None:
            why = f"{survey.ended}. If the run is not done, {_from_nothing_line(state)}"
            return _hold(decision, Failure.CHECKPOINT_CORRUPT, why)
        why = (
            "checkpoints exist but none is valid; restore one, or in"
            f" {state.policy.config_path} write `resume: {{if_none_valid: fresh}}` to start again"
            " from nothing"
        )
        return replace(_hold(decision, Failure.CHECKPOINT_CORRUPT, why), may_be_brought=True)
    is_unseen = survey.unseen is not None and state.attempt > 0
    if is_unseen and not policy.trainer_finds_checkpoints and not state.begin_again:
        # Both causes at once: seen, its checkpoints would hold the run again.
        more = f"; {_NOT_TOLD}: write {TELL_IT}, too" if cannot_learn_of_any(state) else ""
        return _hold(
            decision,
            Failure.CHECKPOINTS_UNSEEN,
            f"{survey.unseen}{more}; or write `resume: {{by: trainer}}` if the trainer finds them"
            f" itself (all in {state.policy.config_path}); or {_from_nothing_line(state)}",
        )
    return decision


def _hold(
    decision: Decision, failure: Failure, why: str, code: ExitCode = ExitCode.HELD
) -> Decision:
    held = replace(decision, verdict=Verdict.HOLD, failure=failure, action=Action.HOLD)
    reason = f"{decision.reason}; {why}" if decision.reason else why
    return replace(held, reason=reason, exit_code=code)


def _ignores_checkpoints(state: State, candidates: tuple[Checkpoint, ...]) -> bool:
    """Whether the trainer has run before, and has no way to learn of a checkpoint."""
    # A trainer that keeps snapshots knows the contract, though no daemon saw it attach.
    return cannot_learn_of_any(state) and not any(c.tier == Tier.MEMORY for c in candidates)


def cannot_learn_of_any(state: State) -> bool:
    """Whether nothing tells the trainer of a checkpoint: the run is held at its first failure."""
    policy = state.policy
    return (
        state.attempt > 0
        and not state.ever_attached
        and not policy.has_resume_args
        and not policy.trainer_finds_checkpoints
    )


def _from_nothing_line(state: State) -> str:
    return f"begin again without them: `{state.policy.run_line} --from-nothing`"


def _stands_for_the_end(state: State) -> bool:
    # With a finish condition, or `run --again`, the trainer's own end is not the end of the run.
    return not state.reopened and not state.policy.has_finish_condition
