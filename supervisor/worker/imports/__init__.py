"""What a training process has imported, recorded for the next one's interpreter.

A parked interpreter imports in advance what the next attempt is going to import (warm launch). It
learns from a record that the running trainer writes at its first beat: `recorder.record` is called
by `rank`, lists the loaded modules with their files, and replaces the file of the run. An observer
in a cold trainer has followed the imports until then, and its file stands beside (`observations`).

The parked interpreter (`supervisor/standby`) reads both. `places` tells it which modules belong to
Python or an installed package: only those are imported in advance. `sources` notes their files, and
says before the launch whether one has changed, or a file of the user's would be imported instead.
`origins` tells the same as `places` with less, for the observer that runs in the trainer.

What always holds: a record is read only by an interpreter of the same version and prefix. Files
are replaced by rename, with mode 0600. No error here reaches the training script.
"""
