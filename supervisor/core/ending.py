"""How an attempt ended, as far as the evidence says."""

from dataclasses import dataclass

from supervisor.core.json_object import JsonObject, left_out
from supervisor.core.vocabulary import Action, Failure, Nature

# A program's own mistakes, for which nothing outside has to recover.
PROGRAM_ERRORS = frozenset(
    {
        "AssertionError",
        "AttributeError",
        "ImportError",
        "IndentationError",
        "ModuleNotFoundError",
        "NameError",
        "NotImplementedError",
        "SyntaxError",
        "TabError",
        "TypeError",
        "UnboundLocalError",
        "ZeroDivisionError",
    }
)


def cut_off(signal: int | None, code: int | None, failure: Failure | None) -> bool:
    """Whether a process was ended from outside. Shells and launchers exit with 128 + the signal."""
    said = failure is not None and failure.nature is Nature.CUT_OFF
    return signal is not None or (code or 0) > 128 or said


@dataclass(frozen=True, slots=True)
class LastWords:
    """An unhandled traceback at the end of a log.

    `is_certain`: the trainer died of it. Otherwise the trainer may have survived it: a logger has
    reported the traceback, or a few lines follow it.
    """

    words: str
    is_certain: bool


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """A trainer's own record of its training: HF's `trainer_state.json`.

    `is_end`: it was written as training ended, not at a routine save. `is_at_evaluation`: an
    evaluation was made at this step, as before every stop that a metric decides.
    """

    name: str
    step: int
    total: int
    is_end: bool
    is_early_stop: bool = False
    is_at_evaluation: bool = False


@dataclass(frozen=True, slots=True)
class Doubt(JsonObject):
    """Why an exit with 0 was not taken for the end of training, and how far the attempt was."""

    kind: str
    words: str
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Advice(JsonObject):
    """What a person can do about a failure: one sentence, and at most one command to type."""

    sentence: str = ""
    command: str = left_out("")

    @property
    def text(self) -> str:
        """Both as one clause, without a full stop."""
        sentence = self.sentence.rstrip(".")
        return f"{sentence}: `{self.command}`" if self.command else sentence


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended, with what the evidence says about why."""

    attempt: int
    code: int | None
    signal: int | None
    outcome_code: int | None = None
    failure: Failure = Failure.UNKNOWN
    action: Action = Action.RESTART
    reason: str = ""
    exception: str | None = None
    frame: str | None = None
    evidence: tuple[str, ...] = ()
    advice: Advice | None = None
    step: int | None = None
    first_step_seen: bool = False
    attached: bool = False
    finish_met: bool | None = None
    ended_by_us: bool = False
    """The daemon ended the attempt for a failure that it had found: the exit code says nothing."""
    loads_checkpoint: bool | None = None
    """The attempt died while it loaded a checkpoint. None: its calls are not known."""
    full_place: str | None = None
    """The directory named by the write that found no room."""
    told_checkpoint: str | None = None
    """The checkpoint that rank 0, on another node, has saved at a stop, as the ranks here say."""

    @property
    def is_programs_own(self) -> bool:
        """Whether the exception is a mistake of the program, wherever it was raised."""
        return (self.exception or "").rpartition(".")[2] in PROGRAM_ERRORS

    logged: tuple[int, int] | None = None
    """The first and last step in the log's last lines, if the steps there never go backwards."""
    end_unseen: bool = False
    """A process that trained after the main process ended is gone, and nobody saw how it ended."""
    last_words: LastWords | None = None
    record: OwnRecord | None = None
    vanished: str | None = None
    """Ranks that ended without saying how, as if killed, and whose exit nobody reported."""

    @property
    def was_killed(self) -> bool:
        """Whether the attempt was cut off by a signal or as hung, not ended by its own program."""
        return self.ended_by_us or cut_off(self.signal, self.code, self.failure)

    @property
    def effective_code(self) -> int | None:
        """The outcome outranks the exit code: launchers such as torchrun exit 1 for everything."""
        if self.ended_by_us:
            return None
        return self.code if self.outcome_code is None else self.outcome_code

    @property
    def signature(self) -> tuple[str, str | None, int | None] | None:
        """Exception type, top frame and step: two deaths are the same if these are equal."""
        if self.exception is not None:
            return (self.exception, self.frame, self.step)
        # A hang has no signature. The next attempt at this step may be at work: it gets more time.
        if self.failure in {Failure.SEGFAULT, Failure.ABORTED} and self.step is not None:
            return (self.failure, self.frame, self.step)
        return None
