"""structlog without the megabytes that it imports and a daemon never uses: asyncio, ssl, rich."""

import importlib
import sys
from types import ModuleType
from typing import Any

__all__ = ["structlog"]


def _stand_in(name: str) -> ModuleType:
    """A module that is imported only once somebody uses something of it."""
    module = ModuleType(name)

    def attribute(wanted: str) -> Any:
        if sys.modules.get(name) is module:
            del sys.modules[name]
        return getattr(importlib.import_module(name), wanted)

    module.__getattr__ = attribute  # type: ignore[method-assign]
    return module


# Only structlog's asyncio methods need asyncio, which takes 2.7 MB with ssl.
_later: dict[str, Any] = {} if "asyncio" in sys.modules else {"asyncio": _stand_in("asyncio")}
# structlog.dev works without rich.
_absent: dict[str, Any] = {} if "rich" in sys.modules else {"rich": None}
sys.modules.update({**_later, **_absent})
try:
    import structlog
finally:
    for _name, _module in (*_later.items(), *_absent.items()):
        if sys.modules.get(_name) is _module:
            del sys.modules[_name]
