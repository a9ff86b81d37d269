"""What the user is told when something cannot go on; it must never print or exit by itself."""

from supervisor.core.vocabulary import ExitCode


class SupervisorError(Exception):
    """An error for a person: what happened and where (`message`), what to type next (`hint`)."""

    def __init__(
        self, message: str, *, hint: str | None = None, code: ExitCode = ExitCode.INTERNAL
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
