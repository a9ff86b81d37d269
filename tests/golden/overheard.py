"""`supervisor run` whose launcher is told to start its daemons behind relay.py, or one like it.

`python overheard.py RELAY ARGUMENT WORD…` is `supervisor WORD…`: what the command line makes of the
launcher is left as it is, but for `--daemon-argv-json`, which names the daemon that it would start
anyway.
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
