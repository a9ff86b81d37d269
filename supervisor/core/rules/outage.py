"""Deaths that say nothing about the checkpoint: something outside of the run failed.

They cause no rollback, and never count as the "same death". The pause grows up to `backoff_max`
first. Only then do they count as failures, so that an outage of minutes holds no run.
"""

from dataclasses import replace
from enum import StrEnum

from supervisor.core.ending import Ending
from supervisor.core.events import Surveyed
from supervisor.core.policy import Policy
from supervisor.core.rules.budget import DAY_S
from supervisor.core.rules.exit_codes import OWN_WORDS
from supervisor.core.states import Budget, Checkpoint, State
from supervisor.core.vocabulary import Action, Failure, Tier

# For a pause that never comes to its maximum: a backoff that is set to 0, say.
UNCHARGED_MOST = 16
DEATHS_KNOWN_MOST = 8

_OF_A_START = (Failure.INCOMPATIBLE_SOFTWARE, Failure.CHECKPOINT_MISMATCH)

Death = tuple[str, str | None]
"""Exception and frame."""


def weigh(state: State, survey: Surveyed, ending: Ending, budget: Budget) -> Ending:
    """The ending, corrected by what the checkpoints show: the diagnosis knows the log alone."""
    if ending.effective_code in OWN_WORDS:
        return ending
    is_late = ending.first_step_seen or _has_own(survey, budget)
    if ending.failure is Failure.CONFIGURATION and is_late:
        # The run has trained with this configuration. A bad data record raises the same exceptions.
        said = ending.reason.removeprefix(Failure.CONFIGURATION)
        reason = ending.reason if said == ending.reason else f"{Failure.EXCEPTION}{said}"
        ending = replace(ending, failure=Failure.EXCEPTION, action=Action.RESTART, reason=reason)
    if ending.action is Action.HOLD:
        # The run has trained: what refused or failed to build now may work at the next attempt.
        has_trained = is_late or state.reached_step is not None
        if ending.failure is Failure.ACCESS_DENIED and has_trained:
            ending = replace(ending, action=Action.BACKOFF)
        if ending.failure is Failure.BUILD_FAILED and has_trained:
            ending = replace(ending, action=Action.RESTART)
        if ending.failure in _OF_A_START and ending.first_step_seen:
            # A rank died at its start, and others made steps: repetition shows whether it stays.
            ending = replace(ending, action=Action.RESTART)
    if ending.failure is Failure.CHECKPOINT_CORRUPT and ending.action is Action.ROLLBACK:
        ending = _weigh_corruption(state, survey, ending, budget)
    return ending


def _weigh_corruption(state: State, survey: Surveyed, ending: Ending, budget: Budget) -> Ending:
    """The ending without its verdict of corruption, where facts speak against the log message."""
    used = state.checkpoint
    if used is not None and used.proof == "hashes":
        why = f"{ending.reason}; but the hashes of {_name(used)} were proven before the launch"
        return replace(ending, failure=Failure.EXCEPTION, action=Action.RESTART, reason=why)
    if ending.loads_checkpoint is not True and made_steps(state, survey, ending, budget):
        # The attempt had long read its checkpoint, and made steps since.
        return replace(ending, failure=Failure.EXCEPTION, action=Action.RESTART)
    return ending


class Outage(StrEnum):
    """A death that says nothing about the checkpoint."""

    OUTSIDE = "outside"
    """It counts as a failure only once the pause has come to its longest."""
    OWN = "own"
    """It may be the program's own fault: it counts at once."""


def outage_of(state: State, survey: Surveyed, ending: Ending, budget: Budget) -> Outage | None:
    """What kind of outage the death is. None: the death is the run's own.

    `ending`: as `weigh` returned it. `budget`: as it is after the survey.
    """
    if ending.action is Action.BACKOFF:
        return Outage.OUTSIDE
    if ending.action.needs_human or ending.effective_code in OWN_WORDS:
        return None
    if is_after_the_end(state, ending):
        return Outage.OUTSIDE
    if ending.action is Action.ROLLBACK or ending.exception is None:
        return None
    if made_steps(state, survey, ending, budget) or _fails_to_load(state, ending):
        return None
    if (ending.exception, ending.frame) in budget.died_in_training:
        return None
    # A run that has never trained may have a mistake that no wait mends.
    has_trained = state.reached_step is not None or _has_own(survey, budget)
    return Outage.OUTSIDE if has_trained and not ending.is_programs_own else Outage.OWN


def is_after_the_end(state: State, ending: Ending) -> bool:
    """Whether all steps were made, where it is known how many there are."""
    record = ending.record
    if record is not None and record.step >= record.total:
        return True
    last = state.policy.finish_step
    return last is not None and ending.step is not None and ending.step >= last


def made_steps(state: State, survey: Surveyed, ending: Ending, budget: Budget) -> bool:
    """Whether the attempt was seen to train: by its steps, or by what it saved."""
    if (budget.progress_step, budget.progress_written) != state.progress_before:
        return True
    if made_headway(state, survey):
        return True
    if not ending.first_step_seen:
        return False
    began = None if state.checkpoint is None else state.checkpoint.step
    # The line "Resuming at step 40" shows a step that this attempt has not made.
    return ending.step is None or began is None or ending.step > began


def ended_training(state: State, survey: Surveyed, ending: Ending, budget: Budget) -> bool:
    """Whether it died while training: after a first step, and before the last."""
    return made_steps(state, survey, ending, budget) and not is_after_the_end(state, ending)


def made_headway(state: State, survey: Surveyed) -> bool:
    """Whether memory holds a later step than the attempt began with: it worked, if not durably."""
    began = -1 if state.checkpoint is None else state.checkpoint.step or -1
    steps = [c.step for c in survey.candidates if c.tier == Tier.MEMORY and c.step is not None]
    return max(steps, default=-1) > began


def with_outage(budget: Budget, outage: Outage, policy: Policy, now: float) -> Budget:
    """The budget after an outage: charged once the pause has come to `backoff_max`.

    `signature` and `repeats` stay: an outage between two equal deaths does not make them differ.
    """
    outages = budget.outages + 1
    full = policy.backoff_s * 2.0 ** min(outages - 1, 60)
    is_long = full >= policy.backoff_max_s or outages > UNCHARGED_MOST
    return replace(
        budget,
        outages=outages,
        failures=budget.failures + (1 if is_long or outage is Outage.OWN else 0),
        recent=(*(t for t in budget.recent if now - t < DAY_S), now),
        progressed=False,
    )


def remembered(budget: Budget, ending: Ending) -> Budget:
    """The budget that knows of one more death of an attempt that had made steps."""
    if ending.exception is None:
        return budget
    known = with_death(budget.died_in_training, (ending.exception, ending.frame))
    return replace(budget, died_in_training=known)


def with_death(known: tuple[Death, ...], death: Death) -> tuple[Death, ...]:
    """The known deaths with one more; the oldest beyond DEATHS_KNOWN_MOST is forgotten."""
    return (*(other for other in known if other != death), death)[-DEATHS_KNOWN_MOST:]


def _has_own(survey: Surveyed, budget: Budget) -> bool:
    if budget.progress_step is not None or budget.progress_written is not None:
        return True
    return any(one.own_run for one in survey.candidates)


def _fails_to_load(state: State, ending: Ending) -> bool:
    """Whether the attempt died while it read the checkpoint that it was resumed from."""
    has_one = state.checkpoint is not None or state.policy.trainer_finds_checkpoints
    return has_one and ending.loads_checkpoint is True


def _name(checkpoint: Checkpoint) -> str:
    return checkpoint.path.rpartition("/")[2]
