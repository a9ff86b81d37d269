"""Stays for one release: found through the PYTHONPATH of a launcher of the version before.

It puts `supervisor/standby/startup` in its place, as if that had been found.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_NEW = os.path.join(os.path.dirname(os.path.dirname(_HERE)), "standby", "startup")
_found = os.environ.get("PYTHONPATH", "")
if _found == _HERE or _found.startswith(_HERE + os.pathsep):
    os.environ["PYTHONPATH"] = _NEW + _found[len(_HERE) :]
sys.path[:] = [_NEW if _entry == _HERE else _entry for _entry in sys.path]
sys.path_importer_cache.pop(_HERE, None)
sys.modules.pop("sitecustomize", None)
# It may find none behind itself: `site` expects exactly that error.
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401
