"""Calls the user's factory for a model or dataset, named by import path.

It must not depend on which of the two it makes.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from train.errors import ConfigurationError


def make(path: str, arguments: dict[str, Any], section: str) -> Any:
    """Import `pkg.module:factory` and call it. `section` is the config section, for messages.

    Raises ConfigurationError if the factory is missing, is not callable, or does not take the
    arguments. An exception of the user's code is raised as it is: its traceback is the best hint.
    """
    factory = _load(path, f"{section}.factory")
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise ConfigurationError(f"{section}.args do not fit {path}: {error}") from error
    except ValueError:
        pass  # written in C: it has no signature to look at
    return factory(**arguments)


def _load(path: str, key: str) -> Callable[..., Any]:
    module_name, separator, attribute = path.partition(":")
    if not (module_name and separator and attribute):
        raise ConfigurationError(f"{key}: write it as 'pkg.module:factory', got {path!r}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module exists; a module that it imports does not
        raise ConfigurationError(
            f"{key}: no module named {error.name!r} here or on PYTHONPATH"
        ) from error
    found = getattr(module, attribute, None)
    if not callable(found):
        raise ConfigurationError(f"{key}: {module_name} has no callable {attribute!r}")
    return found  # type: ignore[no-any-return]
