"""Adapter for W&B: `wandb.init` never fails or changes by the variables that the supervisor sets.

`WANDB_RUN_ID` and `WANDB_RESUME` make all attempts one run. A call that they do not fit is made
without them. Values of the user's are never touched, and nothing of wandb is imported here.
"""

from __future__ import annotations

import functools
import os
import sys

from ..worker.adapters import WANDB_RESUME, WANDB_RUN_ID
from ..worker.environment import number_of
from . import hook, wandb_run, wandb_settings
from .wandb_claim import RunIdClaim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

_PATCHED = "_is_wrapped_by_train_supervisor"
_ARGUMENTS = {WANDB_RUN_ID: "id", WANDB_RESUME: "resume"}
_IN_SETTINGS = {"id": "run_id", "resume": "resume"}


def patch(module: ModuleType) -> None:
    """Wrap `wandb.init`. A module that only has the name is left alone: W&B makes folders so."""
    names = getattr(module, "__dict__", {})
    init = names.get("init")
    if not callable(init) or getattr(init, _PATCHED, False) or "run" not in names:
        return
    settings = getattr(sys.modules.get("wandb.sdk.wandb_settings"), "Settings", None)
    if not isinstance(settings, type):
        return
    if not wandb_settings.keep_ours_out(settings):
        hook.tell("this version of W&B loads its settings in another way: wandb.init is W&B's own")
        return

    @functools.wraps(init)
    def followed(*args: Any, **kwargs: Any) -> Any:
        call = InitCall(module, init, args, kwargs)
        try:
            run = init(*call.args, **call.kwargs)
        except BaseException as error:
            call.failed()
            if error.__traceback__ is not None:
                # No frame of this file in what the user reads.
                error.__traceback__ = error.__traceback__.tb_next
            raise
        call.began(run)
        return run

    setattr(followed, _PATCHED, True)
    # Also where pickle looks for it, and where `from wandb.sdk import init` does.
    for name in (module.__name__, "wandb.sdk", str(getattr(init, "__module__", None))):
        place = getattr(sys.modules.get(name), "__dict__", {})
        if place.get("init") is init:
            place["init"] = followed


class InitCall:
    """One call of `wandb.init`: which values of ours it is made with. Never raises."""

    def __init__(
        self, module: ModuleType, init: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.args, self.kwargs = args, kwargs
        self._claim: RunIdClaim | None = None
        self._added: dict[str, str] = {}
        self._before: Any = None
        try:
            self._ours = wandb_settings.ours(os.environ)
            if not self._ours:
                return
            try:
                self._asked = wandb_settings.AskedSettings(init, args, kwargs)
            except Exception:
                return  # whatever is wrong there, `wandb.init` says it in its own words
            self._before = _run_under_way(module)
            self._add(self._wanted())
        except Exception as error:
            hook.tell(f"wandb.init is not followed: {type(error).__name__}: {error}")

    def _wanted(self) -> tuple[str, ...]:
        """The variables of ours that this call gets."""
        asked, ours = self._asked, tuple(self._ours)
        # An agent of a sweep has chosen the run. In the shared mode several processes write one
        # run, which all of them name. The last two cannot be had together with `resume`.
        if asked("mode") in ("disabled", "shared") or os.environ.get("WANDB_SWEEP_ID"):
            return ()
        if any(asked(name) is not None for name in ("sweep_id", "fork_from", "resume_from")):
            return ()
        resume = asked("resume")
        if resume is not None:
            ours = tuple(name for name in ours if name != WANDB_RESUME)
        if self._is_id_of_script():
            # Without `resume` W&B writes an existing run anew: in the first attempt as the script
            # says, later that run would be this one's.
            is_first = (number_of("SUPERVISOR_ATTEMPT") or 1) <= 1
            return () if is_first else tuple(name for name in ours if name == WANDB_RESUME)
        if WANDB_RUN_ID not in ours:
            return () if asked.by_default("id") is None else ours
        if resume not in (None, "allow", "must"):
            return ()  # "never" and "auto" have to do with W&B's own ids
        if resume is None and WANDB_RESUME not in ours:
            return ()  # the id alone would have W&B write the run anew
        directory = os.environ.get("SUPERVISOR_HEARTBEAT")
        if not directory or self._returns_previous():
            return ()
        self._claim = RunIdClaim(directory, os.environ.get("SUPERVISOR_RUN_DIR"))
        try:
            return ours if self._claim.take() else ()
        except OSError as error:
            hook.tell(f"which W&B run goes on cannot be noted: {error}")
            return ours if self._before is None else ()

    def _is_id_of_script(self) -> bool:
        """Whether the call or `wandb.setup` names a run."""
        if self._asked.in_call("id") is not None:
            return True
        return self._asked.by_default("id") not in (None, os.environ.get(WANDB_RUN_ID))

    def _returns_previous(self) -> bool:
        """Whether the call only returns the run that is under way."""
        reinit = self._asked("reinit")
        return self._before is not None and reinit in (None, False, "default", "return_previous")

    def _add(self, names: tuple[str, ...]) -> None:
        """Make the call with these values."""
        self._added = {_ARGUMENTS[name]: self._ours[name] for name in names}
        if self._added:
            given = self._asked.given
            given.arguments.update(self._added)
            self.args, self.kwargs = given.args, given.kwargs

    def _tidy(self) -> None:
        """W&B writes a call's arguments into the `settings` object of the script's."""
        settings = self._asked.settings if self._added else None
        if settings is None or isinstance(settings, dict):
            return
        for name, value in self._added.items():
            if getattr(settings, _IN_SETTINGS[name], None) == value:
                setattr(settings, _IN_SETTINGS[name], None)

    def failed(self) -> None:
        """No run has begun."""
        try:
            self._tidy()
            if "id" in self._added and self._claim is not None:
                self._claim.give_back()
        except Exception as error:
            hook.tell(f"a W&B run is not followed: {type(error).__name__}: {error}")

    def began(self, run: Any) -> None:
        """A run has begun, or the one before was returned."""
        try:
            self._tidy()
            claim = self._claim
            if claim is not None and claim.is_second and run is not self._before:
                claim.note_several()
                hook.tell(
                    "this script begins several W&B runs in one attempt: from now on each has an"
                    " id of its own, and no run goes on over attempts unless the script gives ids"
                )
            if "id" in self._added:
                wandb_run.follow(run)
        except Exception as error:
            hook.tell(f"a W&B run is not followed: {type(error).__name__}: {error}")


def _run_under_way(module: ModuleType) -> Any:
    """The run that W&B would return again: of this process, and not finished."""
    library = wandb_settings.library_state()
    if hasattr(library, "most_recent_active_run"):
        return library.most_recent_active_run
    run = module.__dict__.get("run")  # W&B until 0.18; a forked child has its parent's
    is_own = getattr(run, "_init_pid", None) == os.getpid()
    return run if is_own and not getattr(run, "_is_finished", True) else None
