"""Copies the trainer's output to the job's log or the journal as well. It never blocks."""

from collections.abc import Mapping, Sequence

from supervisor.core.wording import counted
from supervisor.diagnosis.log_line import clean
from supervisor.system.line_writer import write_lines


def is_wanted(tee: bool | None, environ: Mapping[str, str]) -> bool:
    """Whether to copy: as configured; by default under SLURM and systemd, without a terminal."""
    if tee is not None:
        return tee
    return "SLURM_JOB_ID" in environ or "INVOCATION_ID" in environ


class Tee:
    """Copies lines to a descriptor that takes them at once, and counts the lines it refuses."""

    def __init__(self, fd: int, *, enabled: bool) -> None:
        self._fd = fd
        self._enabled = enabled
        self._dropped = 0

    def show(self, lines: Sequence[str]) -> None:
        """Show them, control sequences taken out."""
        if not self._enabled or not lines:
            return
        were = "was" if self._dropped == 1 else "were"
        lost = counted(self._dropped, "line")
        note = f"[supervisor: {lost} of train.log {were} left out here]"
        shown = [note, *map(clean, lines)] if self._dropped else [*map(clean, lines)]
        try:
            shown = shown[write_lines(self._fd, shown) :]
        except OSError:
            self._enabled = False  # the reader is gone; train.log has it all
        # If the note itself was refused, its count is carried over, and the note is not counted.
        is_untold = bool(self._dropped) and shown[:1] == [note]
        self._dropped = len(shown) + (self._dropped - 1 if is_untold else 0)
