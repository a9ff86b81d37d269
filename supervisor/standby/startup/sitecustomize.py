"""`import site` finds it by PYTHONPATH: a parked interpreter stops here, an observer begins here.

It does nothing in other processes. Every Python 3 must be able to read it, so that a Python that is
too old can say so.
"""

import os
import sys


def _is_meant(nonce: str) -> bool:
    """Whether this is the interpreter that was started to be parked, not a child of a wrapper."""
    return bool(nonce) and nonce in getattr(sys, "orig_argv", [""])[-1]


def _erase(here: str) -> None:
    """Remove this folder from all that the program and its children will see."""
    found = os.environ.get("PYTHONPATH", "")
    if found == here:
        del os.environ["PYTHONPATH"]
    elif found.startswith(here + os.pathsep):
        os.environ["PYTHONPATH"] = found[len(here) + 1 :]
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path_importer_cache.pop(here, None)
    sys.modules.pop("sitecustomize", None)


def _load(name: str) -> "object":
    """Import a module of `supervisor`, and leave no trace of it that the program sees."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    root = os.path.dirname(os.path.dirname(package))
    known = "__future__" in sys.modules
    foreign = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
    sys.path.insert(0, root)
    try:
        __import__(name)
        return sys.modules[name]
    finally:
        sys.path.remove(root)
        for name in [name for name in sys.modules if _is_ours(name)]:
            del sys.modules[name]
        if not known:
            sys.modules.pop("__future__", None)
        sys.modules.update(foreign)
        for entry in [entry for entry in sys.path_importer_cache if entry.startswith(root)]:
            if entry not in sys.path:
                del sys.path_importer_cache[entry]


def _park(nonce: str, text: str) -> None:
    """Load the rest and wait; return at "go"."""
    loaded = frozenset(sys.modules)
    _load("supervisor.standby.waiting").park(nonce, text, loaded)  # type: ignore[attr-defined]


def _is_watched() -> bool:
    """Whether this is a trainer whose imports the launcher wants to know."""
    launcher = os.environ.get("SUPERVISOR_LAUNCHER", "").partition(":")[0]
    return bool(os.environ.get("SUPERVISOR_IMPORTS")) and launcher == str(os.getppid())


def _watch() -> None:
    """Begin to follow the imports once `site` has finished."""
    begin = _load("supervisor.standby.observing").begin  # type: ignore[attr-defined]
    site = sys.modules.get("site")
    last = getattr(site, "execusercustomize", None)
    if last is None or not getattr(site, "ENABLE_USER_SITE", False):
        begin()
        return

    def then_begin() -> None:
        site.execusercustomize = last  # type: ignore[union-attr]
        last()
        begin()

    site.execusercustomize = then_begin  # type: ignore[union-attr]


def _is_ours(name: str) -> bool:
    return name == "supervisor" or name.startswith("supervisor.")


def _refuse(text: str, error: Exception) -> None:
    import json

    why = "{}: {}".format(type(error).__name__, error)  # noqa: UP032
    os.write(json.loads(text)["control_fd"], json.dumps({"refused": why}).encode() + b"\n")
    os._exit(1)


_nonce, _, _text = os.environ.pop("SUPERVISOR_PARKED", "").partition(" ")
_erase(os.path.dirname(os.path.abspath(__file__)))
_follow = False
if _is_meant(_nonce):
    try:
        _park(_nonce, _text)
    except Exception as error:
        _refuse(_text, error)
else:
    _follow = not _nonce and _is_watched()

try:
    # Import the user's own sitecustomize, which this file hid. If there is none, `site` expects
    # exactly this error.
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
finally:
    if _follow:
        try:
            _watch()
        except Exception:  # too old a Python: without notes the next launch is cold
            _follow = False
