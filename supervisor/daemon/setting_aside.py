"""Checkpoints out of the way before a launch: the bad ones, and those the run goes back behind."""

from pathlib import Path

from supervisor import journal_stream
from supervisor.checkpoint.shelf import INVALID, SUPERSEDED, put_aside
from supervisor.core.effects import SetAside
from supervisor.daemon.run import Run
from supervisor.daemon.snapshots import Snapshots


def set_aside(effect: SetAside, run: Run, snapshots: Snapshots) -> None:
    """Move each and record it; what cannot be moved is said, and stays."""
    moves = [(path, INVALID, reason) for path, reason in effect.invalid]
    reason = f"the run goes on from step {effect.after_step}"
    moves += [(path, SUPERSEDED, reason) for path in effect.later]
    refused = run.directory_claim.refusal()
    if refused is not None:
        # The launch that follows is refused, and says why.
        run.journal.log.warning("nothing_set_aside", reason=refused)
        return
    for path, shelf, why in moves:
        try:
            place = _put_aside(path, shelf, why, snapshots)
        except FileNotFoundError:
            continue  # The trainer's own rotation was faster.
        except OSError as error:
            line = f"{path} cannot be set aside: {error.strerror}"
            run.console.say(line, journal_stream.WARNING)
            run.journal.log.error("set_aside_failed", path=path, error=str(error))
            continue
        run.surveyor.forget(path)
        entry = {"type": "checkpoint_removed", "path": path, "why": shelf, "reason": why}
        run.journal.record({**entry, "to": None if place is None else str(place)})
        run.console.say(f"{Path(path).name} is set aside ({shelf}): {why}")


def _put_aside(path: str, shelf: str, why: str, snapshots: Snapshots) -> Path | None:
    """Move one on the disk; one in memory is only given up. Raises OSError."""
    if not snapshots.holds(path):
        return put_aside(Path(path), shelf, why)
    if not snapshots.void(path, wherever=shelf == SUPERSEDED):
        raise FileNotFoundError(path)
    return None
