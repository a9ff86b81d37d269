"""Adapter for W&B: `wandb.init` never fails or changes by the variables that the supervisor sets.

`WANDB_RUN_ID` and `WANDB_RESUME` make all attempts one run. A call that they do not fit is made
without them. Values of the user's are never touched, and nothing of wandb is imported here.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from contextlib import contextmanager

from ..worker.adapters import OWN_WANDB, WANDB_RESUME, WANDB_RUN_ID
from ..worker.environment import number_of
from . import hook, wandb_run
from .wandb_claim import RunIdClaim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any

_PATCHED = "_is_wrapped_by_train_supervisor"
# By what name `wandb.Settings` has what is an argument of another name.
_IN_SETTINGS = {"id": "run_id"}
_IN_GLOBAL_SETTINGS = {WANDB_RUN_ID: "run_id", WANDB_RESUME: "resume"}


def patch(module: ModuleType) -> None:
    """Wrap `wandb.init`. A module that only has the name is left alone: W&B makes folders so."""
    names = getattr(module, "__dict__", {})
    init = names.get("init")
    if not callable(init) or getattr(init, _PATCHED, False) or "run" not in names:
        return

    @functools.wraps(init)
    def followed(*args: Any, **kwargs: Any) -> Any:
        call = InitCall(module, init, args, kwargs)
        try:
            with _without(call.left_out):
                run = init(*args, **kwargs)
        except BaseException as error:
            call.failed()
            if error.__traceback__ is not None:
                # No frame of this file in what the user reads.
                error.__traceback__ = error.__traceback__.tb_next
            raise
        call.began(run)
        return run

    setattr(followed, _PATCHED, True)
    module.init = followed  # type: ignore[attr-defined]


class InitCall:
    """One call of `wandb.init`: which of our variables it is made without. Never raises."""

    def __init__(
        self, module: ModuleType, init: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.left_out: tuple[str, ...] = ()
        self._claim: RunIdClaim | None = None
        self._has_id = False
        self._before = module.__dict__.get("run")
        try:
            self._ours = _ours()
            if self._ours:
                self._asked = _Asked(init, args, kwargs)
                self.left_out = self._unwanted()
        except Exception as error:
            hook.tell(f"wandb.init is not followed: {type(error).__name__}: {error}")

    def _unwanted(self) -> tuple[str, ...]:
        """The variables of ours that this call must not see."""
        asked, ours = self._asked, self._ours
        if asked("mode") == "disabled" or os.environ.get("WANDB_MODE") == "disabled":
            return ()
        # The first two cannot be had together with `resume`. An agent of a sweep has chosen the
        # run. In the shared mode several processes write one run, which all of them name.
        is_another = asked("fork_from") is not None or asked("resume_from") is not None
        if is_another or os.environ.get("WANDB_SWEEP_ID") or asked("mode") == "shared":
            return ours
        resume = asked("resume")
        if asked("id") is not None:
            # It is the user's. Without `resume` W&B writes an existing run anew: in the first
            # attempt as the script says, later that run would be this one's.
            is_first = (number_of("SUPERVISOR_ATTEMPT") or 1) <= 1
            return (WANDB_RESUME,) if is_first and WANDB_RESUME in ours else ()
        if WANDB_RUN_ID not in ours:
            return ()
        if resume not in (None, "allow", "must"):
            return ours  # "never" and "auto" have to do with W&B's own ids
        directory = os.environ.get("SUPERVISOR_HEARTBEAT")
        if not directory or self._returns_previous():
            return ()
        self._claim = RunIdClaim(directory, os.environ.get("SUPERVISOR_RUN_DIR"))
        self._has_id = self._claim.take()
        return () if self._has_id else ours

    def _returns_previous(self) -> bool:
        """Whether the call only returns the run that is under way."""
        reinit = self._asked("reinit")
        return self._before is not None and reinit in (None, False, "default", "return_previous")

    def failed(self) -> None:
        """No run has begun."""
        if self._has_id and self._claim is not None:
            self._claim.give_back()

    def began(self, run: Any) -> None:
        """A run has begun, or the one before was returned."""
        try:
            claim = self._claim
            if claim is not None and claim.is_second and run is not self._before:
                claim.note_several()
                hook.tell(
                    "this script begins several W&B runs in one attempt: from now on each has an"
                    " id of its own, and no run goes on over attempts unless the script gives ids"
                )
            if self._has_id:
                wandb_run.follow(run)
        except Exception as error:
            hook.tell(f"a W&B run is not followed: {type(error).__name__}: {error}")


class _Asked:
    """What a call asks for, by an argument or by its `settings`; None where it says nothing."""

    def __init__(self, init: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            self._given = dict(inspect.signature(init).bind_partial(*args, **kwargs).arguments)
        except (TypeError, ValueError):
            self._given = dict(kwargs)

    def __call__(self, name: str) -> Any:
        found = self._given.get(name)
        if found is not None:
            return found
        settings, name = self._given.get("settings"), _IN_SETTINGS.get(name, name)
        return settings.get(name) if isinstance(settings, dict) else getattr(settings, name, None)


def _ours() -> tuple[str, ...]:
    """The variables that have the value that the supervisor has given them."""
    values = {WANDB_RUN_ID: os.environ.get("SUPERVISOR_RUN_ID"), WANDB_RESUME: "allow"}
    return tuple(
        name
        for name in os.environ.get(OWN_WANDB, "").split(",")
        if name in values and os.environ.get(name) == values[name]
    )


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Have W&B not see these variables for the time of one call."""
    kept = {name: os.environ[name] for name in names if name in os.environ}
    # W&B has read the environment once for all, and warns if that changes later.
    settings = _global_settings() if kept else None
    cleared = [] if settings is None else _cleared(settings, kept)
    taken_out = kept if settings is None else {}
    for name in taken_out:
        del os.environ[name]
    try:
        yield
    finally:
        for name, value in taken_out.items():
            os.environ.setdefault(name, value)
        for field, value in cleared:
            setattr(settings, field, value)


def _global_settings() -> Any:
    """W&B's settings from the environment; None in a version that has no such.

    0.31 has them. With 0.18 the environment itself has to change, before W&B has read it.
    """
    singleton = getattr(sys.modules.get("wandb.sdk.wandb_setup"), "singleton", None)
    try:
        settings = None if singleton is None else singleton().settings
        has_all = all(hasattr(settings, field) for field in _IN_GLOBAL_SETTINGS.values())
        return settings if has_all else None
    except Exception:
        return None  # whatever is wrong there, `wandb.init` says it in its own words


def _cleared(settings: Any, kept: dict[str, str]) -> list[tuple[str, str]]:
    """Take our values out of the settings, and return them. A value of the user's stays there."""
    cleared = []
    for name, value in kept.items():
        field = _IN_GLOBAL_SETTINGS[name]
        try:
            if getattr(settings, field) == value:
                setattr(settings, field, None)
                cleared.append((field, value))
        except Exception as error:
            hook.tell(f"{name} stays in W&B's settings: {type(error).__name__}: {error}")
    return cleared
