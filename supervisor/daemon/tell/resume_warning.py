"""Warns, while a run still trains well, that nothing tells the trainer where to resume."""

from supervisor.checkpoint.how_to_resume import how_to_resume
from supervisor.core.rules.starting_point import TELL_IT, cannot_learn_of_any
from supervisor.core.states import State
from supervisor.core.vocabulary import RunState
from supervisor.daemon.tell.console import Console
from supervisor.survey.answer import Survey
from supervisor.system import journal_stream


class ResumeWarning:
    """Without it the user would learn of it from the hold, at the first failure."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._how: str | None = None
        self._is_told = False
        self.warning: str | None = None
        """What `status` warns of."""

    def note_survey(self, survey: Survey) -> None:
        """Take in the newest checkpoint: its tool has a line of its own."""
        newest = survey.newest_valid
        if newest is None or not newest.own_run:
            return
        sentence = how_to_resume(newest.path, newest.hashes)
        self._how = f"write {TELL_IT}" if sentence is None else f"for {sentence}"

    def poll(self, state: State) -> None:
        """Warn once there is a checkpoint; no longer once something tells the trainer."""
        is_lost = state.alive and state.run is RunState.RUNNING and cannot_learn_of_any(state)
        if not is_lost or self._how is None or state.memory is not None:
            self.warning = None
            return
        self.warning = (
            "nothing tells the trainer where to resume, so the run will be held at its first"
            f" failure: in {state.policy.config_path} {self._how}; or write"
            " `resume: {by: trainer}` if it finds its checkpoint itself"
        )
        if not self._is_told:
            self._is_told = True
            self._console.say(self.warning, journal_stream.WARNING)
