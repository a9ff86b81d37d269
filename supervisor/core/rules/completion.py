"""Whether an exit with 0 is believed: what speaks for the end of training, and what against it."""

from dataclasses import dataclass, replace

from supervisor.core.ending import Doubt, Ending
from supervisor.core.events import Surveyed
from supervisor.core.rules.described_training import cut_short, unfinished_words
from supervisor.core.states import State
from supervisor.core.vocabulary import Action, Failure, Tier

TRACEBACK, RECORD, UNSEEN = "traceback", "record", "unseen"
VANISHED, DESCRIBED = "vanished", "described"


@dataclass(frozen=True, slots=True)
class Belief:
    """`doubt`: why it is not finished; None where it is. `told`: what to say with the finish."""

    doubt: Doubt | None = None
    told: str = ""


def weigh_exit(state: State, survey: Surveyed, ending: Ending) -> Belief:
    """What an exit with 0 is worth, where the configuration has no `finish` of its own.

    The trainer's own word outranks the end of its log: all ranks said that they finished, or its
    record counts all steps. An exit with 0 may not be believed. If the next attempt then makes no
    step and exits with 0 again, there was nothing left to do.
    """
    against = _against(state, ending, survey)
    if against is None:
        told = _no_step_again(state, survey, ending, None) or unfinished_words(state, ending)
        return Belief(None, told)
    proof = _proof(ending)
    if proof is not None:
        return Belief(None, f"; {against.words}, but {proof}")
    again = _no_step_again(state, survey, ending, against) or _stopped_again(state, ending, against)
    is_unnumbered = against.kind == TRACEBACK and against.step is None
    if again is None and is_unnumbered and _has_trained(state, survey, ending):
        # Only the checkpoints tell how far the attempt came.
        against = replace(against, step=max(_saved(survey), default=None))
    return Belief(None, again) if again is not None else Belief(against)


def failure_of(
    state: State, survey: Surveyed, ending: Ending, doubt: Doubt | None
) -> tuple[Failure, Action, str]:
    """Failure, action and reason of an exit with 0 that is no finish.

    `doubt`: why not; None where `finish` in the configuration is not met.
    """
    last_words = ending.last_words
    is_traceback = last_words is not None and last_words.is_certain and doubt is None
    if is_traceback or (doubt is not None and doubt.kind == TRACEBACK):
        failure, action = ending.failure, ending.action
        if action.needs_human and _has_trained(state, survey, ending):
            # The traceback may be a printed sample: a relaunch that finds nothing to do shows that.
            failure = Failure.EXCEPTION if failure is Failure.CONFIGURATION else failure
            action = Action.RESTART
        return failure, action, f"{ending.reason}; the trainer exited with 0 all the same"
    why = "`finish` is not met" if doubt is None else doubt.words
    return Failure.UNKNOWN, Action.RESTART, f"the trainer exited with 0, but {why}"


def _against(state: State, ending: Ending, survey: Surveyed) -> Doubt | None:
    """What speaks against the end of training; None for nothing."""
    step = _last_step(ending)
    last_words = ending.last_words
    if last_words is not None and (last_words.is_certain or _is_unsaved(step, survey)):
        return Doubt(TRACEBACK, last_words.words, step)
    if ending.end_unseen and _is_unsaved(step, survey):
        words = "the processes that trained on are gone, and how they ended is not known"
        return Doubt(UNSEEN, words, step)
    if ending.vanished is not None:
        return Doubt(VANISHED, f"{ending.vanished} ended without a word, as if killed", step)
    cut = cut_short(state, ending)
    if cut is not None:
        return Doubt(DESCRIBED, cut, step)
    if state.description is not None and state.description.is_over:
        return None  # its training ended by itself, be it before the last step
    record = ending.record
    if record is not None and record.is_end and record.step < record.total:
        # A record that a checkpoint is ahead of comes from an earlier training.
        if record.is_early_stop or record.step < max(_saved(survey), default=0):
            return None
        words = f"its own record ({record.name}) says step {record.step} of {record.total}"
        return Doubt(RECORD, words, record.step)
    return None


def _proof(ending: Ending) -> str | None:
    if ending.outcome_code == 0:
        return "the trainer said that it finished"
    record = ending.record
    if record is not None and record.step >= record.total:
        return f"its own record ({record.name}) says step {record.step} of {record.total}"
    return None


def _is_unsaved(step: int | None, survey: Surveyed) -> bool:
    """Whether steps were made that no checkpoint holds. A finished training saves its last step."""
    saved = _saved(survey)
    return step is not None and bool(saved) and step > max(saved)


def _saved(survey: Surveyed) -> list[int]:
    return [c.step for c in survey.candidates if c.step is not None and c.tier != Tier.MEMORY]


def _no_step_again(
    state: State, survey: Surveyed, ending: Ending, against: Doubt | None
) -> str | None:
    """What to say where the attempt before was not believed, and this one found nothing to do."""
    before, began = state.doubt, state.checkpoint
    if before is None or began is None or _made_a_step(state, survey, ending):
        return None
    if against is not None:
        if before.kind == TRACEBACK and before.step is None and began.step is not None:
            return None  # nothing shows that the attempt before trained: it failed at its start too
        known = began.step is not None and before.step is not None
        left = known and (began.step or 0) < (before.step or 0)
        if left or (not known and against.words != before.words):
            return None  # it had steps to make again, and did not come as far as the one before
    return (
        f": this attempt made no step and exited with 0 again (attempt {ending.attempt - 1}:"
        f" {before.words})"
    )


def _made_a_step(state: State, survey: Surveyed, ending: Ending) -> bool:
    began = None if state.checkpoint is None else state.checkpoint.step
    step = _last_step(ending)
    if step is not None and began is not None:
        return step > began
    newest = max((c.step for c in survey.candidates if c.step is not None), default=-1)
    return step is not None or ending.first_step_seen or (began is not None and newest > began)


def _stopped_again(state: State, ending: Ending, against: Doubt) -> str | None:
    """What to say where a training stops itself, at an evaluation, as the one before did."""
    record, before = ending.record, state.doubt
    is_again = before is not None and before.kind == against.kind == RECORD
    if not is_again or record is None or not record.is_at_evaluation:
        return None
    return f"; {against.words}; twice in a row the trainer stopped itself there, at an evaluation"


def _has_trained(state: State, survey: Surveyed, ending: Ending) -> bool:
    """Whether anything shows that the attempt trained. If so, the run is not held at once."""
    has_saved = state.checkpoint is None and bool(_saved(survey))
    return ending.first_step_seen or has_saved or _made_a_step(state, survey, ending)


def _last_step(ending: Ending) -> int | None:
    if ending.step is None and ending.logged is not None:
        return ending.logged[1]
    return ending.step
