"""One file a command: `supervisor NAME` is `NAME_command` in `commands/NAME.py`.

`cli/group.py` holds the list of names, and imports a file only when its command is called. A new
command is a file here and a line there.

A command has the same parts each time. click's decorators declare the options. `find_run` looks up
the run, or `load_config` the configuration. At the end stands the answer, which `--json` prints for
a program. The work is done elsewhere: in `preflight/`, `start/`, `submit/`, `show/`, or in the
packages below the CLI.

The docstring of a command function is its `--help` text.

What always holds: an expected failure is raised as SupervisorError, and `cli.main` prints it. A
command that answers "no" exits with a code of its own (`validate` 1, `check` 78). Commands that
follow a run end with 130 at Ctrl-C, and the run goes on.
"""
