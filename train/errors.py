"""What ends a training run with a message instead of a traceback; nothing here prints or exits."""

from supervisor.worker import EXIT_CONFIGURATION


class TrainingError(Exception):
    """A run that cannot go on, told in one message; exit code 1 (trying again may help)."""

    code = 1


class ConfigurationError(TrainingError):
    """What the user asked for cannot be done; exit code 78, so that nothing relaunches it."""

    code = EXIT_CONFIGURATION

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join([message, *(f"  - {problem}" for problem in problems)]))
        self.problems = problems


class StopRequested(Exception):  # noqa: N818 - a control signal, not an error
    """SIGTERM or SIGUSR1 came in the middle of something that may be given up."""
