"""What the script's own W&B run is told: the attempt, what the restarts cost, a preemption.

Nothing of wandb is imported here. Nothing here raises, and W&B has a moment for each word: no
training waits for it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import weakref

from ..worker.adapters import ATTEMPTS_BEFORE
from . import hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# W&B hands a word to a process of its own, in about a millisecond. That process may stand still.
_PATIENCE_S = 2.0
_MOST_BYTES = 1 << 16
# A run that the script begins with `reinit="create_new"` is not W&B's global one.
_followed: weakref.ref[Any] | None = None
_told: weakref.ref[Any] | None = None
_marked: weakref.ref[Any] | None = None
_unheard: list[_Word] = []


def follow(run: Any) -> None:
    """Tell this run, too, if W&B has no global one: it has the supervisor's run id.

    `wandb.init` does not wait for it: an error is told when the training begins.
    """
    global _followed
    if _is_wandbs(run):
        _followed = weakref.ref(run)
        _begin(patience_s=0.0)


def training_begins() -> None:
    """Put the attempt and what was lost so far into the run's summary, once for each run."""
    _begin(patience_s=_PATIENCE_S)


def _begin(*, patience_s: float) -> None:
    global _told
    try:
        _hear()
        run = _run_of_script()
        if run is None or _is(run, _told) or not hook.is_wanted("wandb"):
            return
        _told = weakref.ref(run)
        summary = _summary()
        if summary:
            _say(_Word("the summary", lambda: run.summary.update(summary)), patience_s)
    except Exception as error:
        hook.tell(f"the W&B run has no summary of the restarts: {type(error).__name__}: {error}")


def mark_preempting() -> None:
    """Tell W&B that the run is preempted, once for each run."""
    global _marked
    try:
        _hear()
        run = _run_of_script()
        if run is None or _is(run, _marked) or not hook.is_wanted("wandb"):
            return
        _marked = weakref.ref(run)
        _say(_Word("mark_preempting", run.mark_preempting), _PATIENCE_S)
    except Exception as error:
        hook.tell(f"the W&B run is not marked as preempted: {type(error).__name__}: {error}")


def _run_of_script() -> Any:
    """The run that this process logs to; None without one.

    Another module may have the name, also the folder `wandb/` that W&B writes into.
    """
    if not os.environ.get("SUPERVISOR_HEARTBEAT"):
        return None
    run = getattr(sys.modules.get("wandb"), "__dict__", {}).get("run")
    if run is None and _followed is not None:
        run = _followed()
        if getattr(run, "_is_finished", True):
            return None
    return run if _is_wandbs(run) else None


def _is_wandbs(run: Any) -> bool:
    is_of_module = str(type(run).__module__).partition(".")[0] == "wandb"
    return is_of_module and callable(getattr(run, "mark_preempting", None))


def _is(run: Any, known: weakref.ref[Any] | None) -> bool:
    return known is not None and known() is run


def _summary() -> dict[str, Any]:
    """The keys for the summary, as far as the daemon has said them. Raises OSError, ValueError."""
    directory = os.environ["SUPERVISOR_HEARTBEAT"]
    try:
        with open(os.path.join(directory, ATTEMPTS_BEFORE), "rb") as file:
            said = json.loads(file.read(_MOST_BYTES))
    except FileNotFoundError:
        return {}  # a daemon of an earlier version has launched this
    keys = ("attempt", "lost_steps", "last_failure")
    return {f"supervisor/{key}": said[key] for key in keys if said.get(key) is not None}


class _Word(threading.Thread):
    """One call to W&B, in a thread of its own."""

    def __init__(self, what: str, call: Callable[[], Any]) -> None:
        super().__init__(name="train-supervisor-wandb", daemon=True)
        self.what, self._call, self.failed = what, call, ""

    def run(self) -> None:
        try:
            self._call()
        except Exception as error:
            self.failed = f"{type(error).__name__}: {error}"


def _say(word: _Word, patience_s: float) -> None:
    """Call it, and wait for a moment, or hear of it later."""
    word.start()
    if not patience_s:
        _unheard.append(word)
        return
    word.join(patience_s)
    if word.is_alive():
        hook.tell(f"W&B has not taken {word.what} within {patience_s:g} s; the training goes on")
    elif word.failed:
        hook.tell(f"W&B has not taken {word.what}: {word.failed}")


def _hear() -> None:
    """Tell which words that nobody has waited for have failed."""
    for word in [one for one in _unheard if not one.is_alive()]:
        _unheard.remove(word)
        if word.failed:
            hook.tell(f"W&B has not taken {word.what}: {word.failed}")
