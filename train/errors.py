"""Exceptions that end a training run with a message instead of a traceback."""

from supervisor.worker import EXIT_CONFIGURATION


class TrainingError(Exception):
    """The run cannot go on, for the reason in the message. Exit code 1: trying again may help."""

    code = 1


class ConfigurationError(TrainingError):
    """The user asked for something impossible. Exit code 78, so that nothing relaunches the run."""

    code = EXIT_CONFIGURATION

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join([message, *(f"  - {problem}" for problem in problems)]))
        self.problems = problems


class StopRequested(Exception):  # noqa: N818 - a control signal, not an error
    """A stop was requested, and the training may be left at this point."""
