"""What an attempt ran in, and what is different from the last good attempt; it decides nothing.

`record.py` has the record of one attempt: Python packages, script, configuration files, command,
variables, machine. A child process (`child.py`) reads all of it: `interpreter.py`, `packages.py`,
`program.py`, `variables.py` and `machine.py`, a module for each source. The child keeps the record
in the run directory, compares it with that of the last good attempt (`comparing.py`), and answers
with the differences. `asking.py` is the daemon's side: it starts the child, and kills it when it
does not answer. `step_time.py` learns the typical time of a step.

What always holds: no file of the user is read by the daemon itself, since a dead file server would
stall its loop. The user's interpreter is never started, and nothing of the user's is imported.
"""
