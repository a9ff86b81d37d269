"""`import site` finds it by PYTHONPATH, in the trainer and in all Pythons that the trainer starts.

It prints nothing and raises nothing of its own. Any Python, Python 2 too, must be able to run it.
"""

import os
import sys

# Kept: Python 2 empties a module that sys.modules has lost.
_module = sys.modules.pop("sitecustomize", None)
_here = os.path.dirname(os.path.abspath(__file__))
# The folder stays in PYTHONPATH, for the children.
sys.path[:] = [_entry for _entry in sys.path if _entry != _here]
sys.path_importer_cache.pop(_here, None)

if (
    sys.version_info >= (3, 9)
    and sys.implementation.name == "cpython"
    and "_train_supervisor" not in sys.modules
    and os.environ.get("SUPERVISOR_INTEGRATE") != "none"
):
    try:
        _package = type(sys)("_train_supervisor")
        _package.__path__ = [os.path.dirname(os.path.dirname(_here))]
        sys.modules["_train_supervisor"] = _package
        import _train_supervisor.integrations.hook as _hook  # type: ignore[import-not-found]

        _hook.begin(_package)
    except Exception:
        # An upgrade removes these files right now: the program runs without an adapter.
        for _name in [_name for _name in sys.modules if _name.startswith("_train_supervisor")]:
            del sys.modules[_name]

# The user's own sitecustomize, which this file hid. If there is none, `site` expects this error.
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401
