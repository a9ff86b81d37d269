"""What W&B itself would take for a call of `wandb.init`, without the variables that we have set.

The supervisor's values never get into W&B's global settings: there they would make a wish of the
script's fail, also one in `wandb.setup`. Nothing of wandb is imported here.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys

from ..worker.adapters import OWN_WANDB, WANDB_RESUME, WANDB_RUN_ID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# How W&B takes the environment into its settings: since 0.19, and before.
_LOADERS = ("update_from_env_vars", "_apply_env_vars")
_PATCHED = "_is_wrapped_by_train_supervisor"
# By what name `wandb.Settings` has what is an argument of another name.
_IN_SETTINGS = {"id": "run_id"}


def ours(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that have the value that the supervisor has given them."""
    values = {WANDB_RUN_ID: os.environ.get("SUPERVISOR_RUN_ID"), WANDB_RESUME: "allow"}
    listed = os.environ.get(OWN_WANDB, "").split(",")
    return {
        name: value
        for name, value in values.items()
        if value is not None and name in listed and environ.get(name) == value
    }


def keep_ours_out(settings_class: type) -> bool:
    """Have W&B load the environment without our values; False in a version that does not fit."""
    for name in _LOADERS:
        load = vars(settings_class).get(name)
        if callable(load):
            if not getattr(load, _PATCHED, False):
                setattr(settings_class, name, _without_ours(load))
            return True
    return False


def _without_ours(load: Any) -> Any:
    @functools.wraps(load)
    def loaded(self: Any, environ: Any, *args: Any, **kwargs: Any) -> Any:
        left_out = ours(environ)
        theirs = {name: value for name, value in environ.items() if name not in left_out}
        try:
            return load(self, theirs, *args, **kwargs)
        except BaseException as error:
            if error.__traceback__ is not None:
                # No frame of this file in what the user reads.
                error.__traceback__ = error.__traceback__.tb_next
            raise

    setattr(loaded, _PATCHED, True)
    return loaded


class AskedSettings:
    """What a call asks for: by an argument, its `settings`, W&B's settings, the environment."""

    def __init__(self, init: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises what `wandb.init` would: by these arguments, or as it loads its settings."""
        self.given = inspect.signature(init).bind_partial(*args, **kwargs)
        self.settings = self.given.arguments.get("settings")
        self._global = _global_settings()

    def in_call(self, name: str) -> Any:
        """What the call itself says; None where it says nothing."""
        found = self.given.arguments.get(name)
        if found is not None:
            return found
        name = _IN_SETTINGS.get(name, name)
        if isinstance(self.settings, dict):
            return self.settings.get(name)
        return getattr(self.settings, name, None)

    def by_default(self, name: str) -> Any:
        """What holds for each call. W&B does not look at the environment again once it has."""
        name = _IN_SETTINGS.get(name, name)
        if self._global is not None:
            return getattr(self._global, name, None)
        variable = f"WANDB_{name.upper()}"
        return None if variable in ours(os.environ) else os.environ.get(variable)

    def __call__(self, name: str) -> Any:
        """The value that W&B would take; None where nobody says anything."""
        found = self.in_call(name)
        return self.by_default(name) if found is None else found


def _global_settings() -> Any:
    """W&B's settings, which `wandb.init` would load now; None if it has none before that.

    Raises what the loading raises. W&B would then go on with half of its settings, so they are
    taken back: `wandb.init` says the error in its own words.
    """
    library = library_state()
    try:
        return getattr(library, "settings", None)
    except Exception:
        library._settings = None
        raise


def library_state() -> Any:
    """W&B's state in this process; None if it has none yet."""
    module = sys.modules.get("wandb.sdk.wandb_setup")
    singleton = getattr(module, "singleton", None)
    if singleton is not None:
        return singleton()
    # 0.18 begins it in `wandb.init`. One that a fork has copied is begun anew there.
    found = getattr(getattr(module, "_WandbSetup", None), "_instance", None)
    return found if getattr(found, "_pid", None) == os.getpid() else None
