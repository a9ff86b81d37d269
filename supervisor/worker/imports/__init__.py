"""What a training process has imported, recorded for the next one's interpreter.

A parked interpreter imports in advance what the next attempt is going to import (warm launch). It
learns that from a record. At the trainer's first beat `rank` calls `recorder.record`, which lists
the loaded modules with their files. In a cold trainer an observer has followed the imports until
then; `observations` is the file of what it has seen.

The parked interpreter (`supervisor/standby`) reads both. `places` tells it which modules belong to
Python or an installed package: only those are imported in advance. `sources` notes their files. It
says before the launch whether one has changed, or a file of the user's would be imported instead.
`origins` does the work of `places` inside the trainer, where it may import little.

What always holds: a record is read only by an interpreter of the same version and prefix. Files
are replaced by rename, with mode 0600. No error here reaches the training script.
"""
