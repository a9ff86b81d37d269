"""Reactions when all ranks have ended and the main process lives.

The main process may do work after training, or wait in vain for its ranks.
"""

from dataclasses import replace

from supervisor.core.effects import Record, Say
from supervisor.core.entries.attempt import RanksGoneEntry
from supervisor.core.look_facts import RanksGone
from supervisor.core.reactions.kill import end_deserted
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.states import State

# torchrun starts its ranks again in less time. The user is told within ten seconds.
TELL_S = 5.0
# torchrun uses CPU while it starts its ranks again: its agent polls ten times a second, and reads
# and writes at each poll. Work after training uses CPU, too.
QUIET_S = 60.0


def on_ranks_gone(state: State, gone: RanksGone, now: float) -> Reaction:
    """Tell the user; end the main process only if the ranks died and it has long done nothing."""
    if gone.age_s < TELL_S:
        return Reaction("overdue", state)
    if not gone.has_ended_well and gone.quiet_s >= QUIET_S:
        why = (
            f"{gone.ranks} died {gone.age_s:.0f} s ago, and {gone.main} has done nothing for"
            f" {gone.quiet_s:.0f} s"
        )
        return end_deserted(state, why, now)
    if state.activity.is_desertion_told:
        return Reaction("overdue", state)
    state = replace(state, activity=replace(state.activity, is_desertion_told=True))
    if gone.has_ended_well:
        line = f"{gone.ranks} ended in order; {gone.main} goes on with work after training"
    else:
        line = (
            f"{gone.ranks} ended without a word; {gone.main} goes on. The supervisor ends it"
            f" once it has done nothing for {QUIET_S:.0f} s"
        )
    entry = RanksGoneEntry(
        attempt=state.attempt,
        ranks=gone.ranks,
        main=gone.main,
        ended_well=gone.has_ended_well,
    )
    return Reaction("overdue", state, (Record(entry), Say(line)))
