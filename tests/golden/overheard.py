"""`supervisor run` whose launcher starts its daemons behind relay.py, or a script like it.

`python overheard.py RELAY ARGUMENT WORD…` is `supervisor WORD…`. It adds only `--daemon-argv-json`
to the launcher's command line, with the relay before the daemon that would start anyway.
"""

import json
import os
import sys
from pathlib import Path

from supervisor.cli import main

RELAY = [sys.argv.pop(1), sys.argv.pop(1)]
really = os.execve


def execve(program: str, words: list[str], environment: dict[str, str]) -> None:
    """Become the launcher."""
    launcher = next(word for word in words if word.endswith("launcher/__main__.py"))
    options = dict(zip(words[-6::2], words[-5::2], strict=True))
    daemon = [sys.executable, "-P", str(Path(launcher).parents[1] / "daemon" / "__main__.py")]
    daemon += ["--run-dir", options["--run-dir"], "--socket-fd", "{socket_fd}"]
    daemon += ["--lock-fd", "{lock_fd}", "--view", options["--view"]]
    relay = [sys.executable, "-P", *RELAY, "{socket_fd}", *daemon]
    really(program, [*words, "--daemon-argv-json", json.dumps(relay)], environment)


os.execve = execve  # type: ignore[assignment]
main()
