"""A stub for one release: a daemon of the version before starts its probes by this name."""

import sys

from supervisor.daemon.look.probe_child import main

if __name__ == "__main__":
    main(sys.argv[1])
