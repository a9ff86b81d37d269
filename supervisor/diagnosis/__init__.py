"""Why an attempt died: from its exit and its log to a failure, an action and advice.

The daemon (`daemon/look/endings.py`) collects an `ExitEvidence`: exit code or signal, the log's
lines that matter, and facts that `evidence.py` asks of the system. `diagnose` turns it into a `Diagnosis`,
which the core acts on. `supervisor diagnose` calls the same function through `log_file.py`.

`diagnose.py` asks `ending_codes.py` first what the exit says by itself. `suspect_lines.py` then
finds every line that could explain the end, as `Explanation`s. It matches the table of `rules/`,
and reads tracebacks (`python_traceback.py`, `traceback_stream.py`, `traceback_frames.py`,
`calls.py`, `traceback_causes.py`) and Xid lines (`xid.py`). `voice.py` tells a program's own words
from quoted ones. `weighing.py` chooses one of the explanations that the exit leaves possible
(`exit_evidence.py`).

`last_words.py` answers another question: whether a log ends with a death although the exit code is
0. `line_prefix.py`, `log_line.py`, `bar.py`, `step_line.py` and `steps_after.py` read single lines
and steps for the others.

`log_window.py` chooses the lines, for the daemon and for `supervisor diagnose` alike. It reads the
log from its end (`log_blocks.py`) to the last step (`step_search.py`), and leaves out what hundreds
of ranks print alike (`repeats.py`).

What always holds: `diagnose` never raises, and reads neither files nor the clock. A new error
message is a rule in a table. This file imports nothing, so that the records in `failure.py` stay
quick to import.
"""
