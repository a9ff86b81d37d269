"""What a run keeps in its directory, and who may write there.

`supervisor run` takes the run (`lock`), writes the configuration for the daemon, and becomes the
launcher. Launcher and daemon share the lock's descriptor: the run is free once both are gone. From
then on the daemon writes the record. It appends to the `ledger` what happened, replaces
`status.json` (`status_file`), and makes a folder for each failure (`incidents`). `ledger_entries`
reads the ledger back as the core's entries, for the next daemon and for the CLI. The operator's
wish comes the other way: the CLI writes the `intent`, and the daemon looks at it.

Outside of the run directory, `runtime_directory` is the run's place in memory, with the trainer's
heartbeat pages and snapshots. `ownership` judges the marks of other runs at a checkpoint directory;
`claiming` puts the run's own mark there. `paths` names all files of a run directory.

What always holds: one supervisor has a run at a time, and neither a lock nor a mark is passed over
for its age. The ledger is never rewritten; `status.json` only mirrors it. Each record can be read
without a daemon. No damaged file raises anything but OSError to its reader.
"""
