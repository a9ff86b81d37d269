"""Stays for one release, for a daemon of the version before, which starts it by this name."""

import sys

from supervisor.daemon.look.probe_child import main

if __name__ == "__main__":
    main(sys.argv[1])
