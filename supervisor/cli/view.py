"""Stays for one release, for a launcher of the version before: `cli/show/view.py`."""

import os
import sys

if __name__ == "__main__":
    _PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    _NEW = os.path.join(_PACKAGE, "cli", "show", "view.py")
    _FLAGS = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)]
    os.execv(sys.executable, [sys.executable, *_FLAGS, _NEW, *sys.argv[1:]])
