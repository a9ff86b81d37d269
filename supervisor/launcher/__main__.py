"""Start of the launcher, by path: `python -S -P .../launcher/__main__.py --run-dir DIR ...`."""

from __future__ import annotations

import os
import sys

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OPTIONS = {
    "--run-dir": "",
    "--lock-fd": "-1",
    "--view": "none",
    # For tests: another daemon ("{socket_fd}" is replaced), another view, less patience.
    "--daemon-argv-json": "",
    "--view-argv-json": "",
    "--persister-argv-json": "",
    "--unkillable-after-s": "60",
}
MARKS = ("SUPERVISOR_RUN_ID", "SUPERVISOR_ATTEMPT", "SUPERVISOR_LAUNCHER")


def _options(words: list[str]) -> dict[str, str]:
    options = dict(OPTIONS)
    names, values = words[::2], words[1::2]
    if len(names) != len(values) or not set(names) <= set(options):
        # argparse would cost 1.5 MB for a command line that only this package writes.
        sys.exit(f"supervisor: launcher: wrong arguments: {words}")
    options.update(zip(names, values, strict=True))
    return options


def main(words: list[str]) -> int:
    """Be the launcher and return its exit code."""
    options = _options(words)
    if any(mark in os.environ for mark in MARKS):
        # A launcher started inside a trainer (say, by an sbatch there) carries that trainer's marks
        # and would be ended with its attempt. /proc shows the environment of exec, so exec again.
        environ = {name: value for name, value in os.environ.items() if name not in MARKS}
        os.execve(sys.executable, sys.orig_argv, environ)
    if int(options["--lock-fd"]) >= 0:
        os.set_inheritable(int(options["--lock-fd"]), False)

    import json

    from supervisor.launcher.children.daemon import DaemonLink
    from supervisor.launcher.loop import Launcher

    python = [sys.executable, "-P"]
    run = ["--run-dir", options["--run-dir"]]
    daemon = [*python, os.path.join(PACKAGE, "daemon", "__main__.py"), *run]
    daemon += ["--socket-fd", "{socket_fd}", "--lock-fd", "{lock_fd}", "--view", options["--view"]]
    if options["--daemon-argv-json"]:
        daemon = json.loads(options["--daemon-argv-json"])
    view = [*python, os.path.join(PACKAGE, "cli", "show", "view.py"), *run]
    if options["--view-argv-json"]:
        view = json.loads(options["--view-argv-json"])
    persister = options["--persister-argv-json"]
    state_dir = os.path.join(options["--run-dir"], ".supervisor")
    launcher = Launcher(
        DaemonLink(daemon, int(options["--lock-fd"]), state_dir),
        view if options["--view"] == "live" else None,
        persister_argv=json.loads(persister) if persister else None,
        unkillable_after_s=float(options["--unkillable-after-s"]),
    )
    return launcher.run()


if __name__ == "__main__":
    root = os.path.dirname(PACKAGE)
    if root not in sys.path:
        sys.path.append(root)
    code = main(sys.argv[1:])
    # Skip the interpreter's tear-down: there is nothing to flush, and it can hang.
    os._exit(code & 0xFF)
