"""Stays for one release, for a daemon of the version before: `daemon/look/gpu_use.py`."""

import os
import sys

if __name__ == "__main__":
    _PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    _NEW = os.path.join(_PACKAGE, "daemon", "look", "gpu_use.py")
    _FLAGS = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)]
    os.execv(sys.executable, [sys.executable, *_FLAGS, _NEW, *sys.argv[1:]])
