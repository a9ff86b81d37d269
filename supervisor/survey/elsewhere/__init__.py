"""The search for a trainer's saves outside the checkpoint directory.

A run whose saves are not seen would begin from nothing after a failure. So the daemon
(`daemon/look/save_watch.py`) adds a `SaveSearch` to its surveys as long as no checkpoint is seen.
The survey calls `look_in_time` (`sightings.py`), and answers with `Sightings`.

A look has two parts. `save_places.py` reads command lines and open files from /proc, and settings
files. `save_options.py` tells it which of their values name directories. The result is a
`SearchRequest` (`records.py`) for `findings.py`. There `directory_walk.py` lists directories within
bounds, and `kept_out.py` keeps it out of caches and other runs. `look_alikes.py` picks the names
that may be saves, and `save_series.py` decides which of them this attempt has saved. `advice.py`
says what the user has to write into the configuration.

What always holds: a search changes nothing, and never opens a save. Two looks may be needed to
tell a save, so each look hands a `Memo` to the next. Files that could as well be data, a download
or another run's saves do not count: a finding holds the run before it starts from nothing.
"""
