"""The parked interpreter: its imports are done, and it becomes the next trainer. Stdlib only.

The launcher starts it by `start.py`, with the user's own interpreter and options, if `command.py`
finds a Python program in the command. PYTHONPATH leads it to `startup/sitecustomize.py`. It stops
there, inside `import site`, before Python runs any program.

`waiting.py` runs it from there. `preload.py` imports the modules that the last trainer recorded,
`output.py` keeps what they print, and `priority.py` lets other processes go first. Then it reports
to the launcher that it is parked, and waits. At "go" `become.py` checks command, environment and
files. It writes the user's program into Python's memory (`process_memory.py`), answers, and
returns. Python itself runs the program as it would have: no frame of ours is beneath it.

In a cold trainer the same hook starts `observer.py`. It notes what the program changes before its
imports, with the comparisons of `interpreter.py` and `attributes.py`. The parked interpreter judges
by these notes (`warm_is_cold.py`) whether the program would run the same in it.

These things always hold. A `Refused` comes before the answer to "go", and the launch is then cold.
After that answer the process is the trainer. The user's own files are not imported while parked.
"""
