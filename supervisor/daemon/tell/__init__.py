"""What the daemon tells others of the run: on record, in files, on a terminal, to systemd.

`journal.py` is the record: each entry goes to the ledger, and then to listeners in this process.
`checkpoint_verdicts.py` turns verdicts on checkpoints into ledger entries, and reads them back when
the next daemon begins. `recorded_checkpoints.py` listens to the ledger. It knows which valid
checkpoints ought to be on the disk, so that a survey can say which are missing.

`status.py` makes one `Status` of the core's state, the last look and the facts beside them; the
periodic work writes it to status.json. After a death `changes.py` tells what is different from the
last good attempt, in the words of `change_words.py`. `console.py` prints lines for the user,
`tee.py` copies the trainer's output, and `systemd.py` sends signs of life to systemd and to the
launcher. `metrics_file.py` has the metrics written, by the child process of `metrics_writer.py`.

What always holds: nothing here decides. A reader that stalls or has gone costs lines, never time.
A full disk keeps entries waiting in memory; it never ends the run.
"""
