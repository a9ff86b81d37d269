"""Says where `checkpoints: {interval: auto}` has no effect, and what to write instead.

Only a `Checkpointer` of supervisor.torch follows the key. Silence would leave the user with an
interval that nobody chose.
"""

from supervisor.core.rules.recovery import Recovery, interval_key
from supervisor.core.rules.save_interval import best_interval_s, best_steps
from supervisor.core.states import State
from supervisor.core.wording import rough_time
from supervisor.daemon.look.save_costs import SaveCosts
from supervisor.daemon.run import Run
from supervisor.system import journal_stream


class AutoIntervalWarning:
    """Follows the attempts of one run; it does nothing where the key is not set."""

    def __init__(self, run: Run, costs: SaveCosts) -> None:
        self._run = run
        self._costs = costs
        self._is_told = False
        self.warning: str | None = None
        """What `status` warns of."""

    def poll(self, known: Recovery, state: State) -> None:
        """Warn once the training makes steps and nothing follows the key."""
        told = self._costs.told
        # One that asks and was started before the key was set follows it from its next start.
        is_heard = told is not None and told.asks
        if self._run.config.checkpoints.interval is None or is_heard:
            self.warning = None
            return
        if told is not None:
            why = (
                "its script decides by itself when to call `save`; call `after_step` of the"
                " Checkpointer after each step, or `save` where `is_save_due` says so"
            )
        else:
            who = known.trainer if known.trainer and not known.is_by_format else "the trainer"
            why = (
                f"only a Checkpointer of supervisor.torch follows it, and {who} saves by its own"
                f" options; set {self._instead(known, state)} there"
            )
        self.warning = f"`checkpoints.interval: auto` has no effect so far: {why}"
        if not self._is_told:
            self._is_told = True
            self._run.console.say(self.warning, journal_stream.WARNING)

    def _instead(self, known: Recovery, state: State) -> str:
        """What to write: with the best interval, once the cost of a save is known."""
        key = interval_key(None if known.is_by_format else known.trainer) or "`save_steps: {}`"
        save_s = self._costs.save_s
        if save_s is None:
            return key.format("N")
        best_s = best_interval_s(save_s, self._costs.mttf_s(state), self._costs.recovery_s(state))
        steps = best_steps(best_s, known.step_s)
        return f"{key.format(steps or 'N')} (every {rough_time(best_s)})"
