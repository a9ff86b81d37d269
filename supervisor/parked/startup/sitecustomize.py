"""Found through PYTHONPATH by `import site`: where a parked interpreter stops. Inert elsewhere.

It has to be readable by every Python 3, so that one too old can say so.
"""

import os
import sys


def _is_meant(nonce: str) -> bool:
    """Whether this is the interpreter that was started to be parked, not a child of a wrapper."""
    return bool(nonce) and nonce in getattr(sys, "orig_argv", [""])[-1]


def _erase(here: str) -> None:
    """Take this folder out of all that the program, or its children, will see."""
    found = os.environ.get("PYTHONPATH", "")
    if found == here:
        del os.environ["PYTHONPATH"]
    elif found.startswith(here + os.pathsep):
        os.environ["PYTHONPATH"] = found[len(here) + 1 :]
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path_importer_cache.pop(here, None)
    sys.modules.pop("sitecustomize", None)


def _park(nonce: str, text: str) -> None:
    """Load the rest, leave no trace of it in sys.modules, and wait; return at "go"."""
    loaded = frozenset(sys.modules)
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    root = os.path.dirname(os.path.dirname(package))
    foreign = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
    sys.path.insert(0, root)
    try:
        from supervisor.parked.waiting import park
    finally:
        sys.path.remove(root)
        for name in [name for name in sys.modules if _is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(foreign)
        for entry in [entry for entry in sys.path_importer_cache if entry.startswith(root)]:
            if entry not in sys.path:
                del sys.path_importer_cache[entry]
    park(nonce, text, loaded)


def _is_ours(name: str) -> bool:
    return name == "supervisor" or name.startswith("supervisor.")


def _refuse(text: str, error: Exception) -> None:
    import json

    why = "{}: {}".format(type(error).__name__, error)  # noqa: UP032
    os.write(json.loads(text)["control_fd"], json.dumps({"refused": why}).encode() + b"\n")
    os._exit(1)


_nonce, _, _text = os.environ.pop("SUPERVISOR_PARKED", "").partition(" ")
_erase(os.path.dirname(os.path.abspath(__file__)))
if _is_meant(_nonce):
    try:
        _park(_nonce, _text)
    except Exception as error:
        _refuse(_text, error)

# The one that this one hid. Where there is none, `site` expects exactly this error.
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401
