"""The daemon's imports without the megabytes that libraries load and a daemon never uses."""

import gc
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# Python's own hash functions, by its versions; Debian's and python.org's builds have them.
_HASHES = (("_md5", "_sha1", "_sha3", "_blake2"), ("_sha2",), ("_sha256", "_sha512"))


@contextmanager
def light_imports() -> Iterator[None]:
    """Spare what is imported meanwhile some modules: 8 MB of those that a daemon keeps resident.

    asyncio, with ssl, is used by structlog's asynchronous methods alone, and structlog.dev works
    without rich. hashlib takes Python's own functions where OpenSSL's are not there. pydantic looks
    through all installed packages for plugins of its own, and would import what they bring.

    What is imported stays, so the garbage collector looks at none of it, neither now nor later.
    """
    plugins = ModuleType("pydantic.plugin._loader")
    plugins.get_plugins = tuple  # type: ignore[attr-defined]
    made: dict[str, Any] = {
        "asyncio": _stand_in("asyncio"),
        "rich": None,
        plugins.__name__: plugins,
    }
    if _has_own_hashes():
        made["_hashlib"] = None
    made = {name: module for name, module in made.items() if name not in sys.modules}
    sys.modules.update(made)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()
        for name, module in made.items():
            if module is not plugins and sys.modules.get(name) is module:
                del sys.modules[name]


def _stand_in(name: str) -> ModuleType:
    """A module that is imported only once somebody uses something of it."""
    module = ModuleType(name)

    def attribute(wanted: str) -> Any:
        if sys.modules.get(name) is module:
            del sys.modules[name]
        return getattr(importlib.import_module(name), wanted)

    module.__getattr__ = attribute  # type: ignore[method-assign]
    return module


def _has_own_hashes() -> bool:
    always, *either = _HASHES
    there = {name for names in _HASHES for name in names if importlib.util.find_spec(name)}
    return there.issuperset(always) and any(there.issuperset(names) for names in either)
