"""What the user is told when something cannot go on; it must never print or exit by itself."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `supervisor` (sysexits.h where a code exists there)."""

    FINISHED = 0
    HELD = 1
    USAGE = 2
    LOCKED = 69
    INTERNAL = 70
    PREEMPTED = 75
    CONFIGURATION = 78


class SupervisorError(Exception):
    """An error for a person: what happened and where (`message`), what to type next (`hint`)."""

    def __init__(
        self, message: str, *, hint: str | None = None, code: ExitCode = ExitCode.INTERNAL
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
