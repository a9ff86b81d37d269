"""The memory tier: snapshots of training state on tmpfs, and the process that persists them.

A snapshot directory has two slots. The trainer (`supervisor.torch`) writes its state into one of
them, in place, while the other stays whole (`slot_choice.py`). The seal of a slot (`seal.py`) says
whether the slot is whole, and of which step. Once it has closed the seal, the trainer wakes the
persister by a byte in a FIFO (`wakeup_fifo.py`).

The persister (`__main__.py`, `persister.py`) is a process apart, which outlives trainer and daemon.
It picks what is next (`queue.py`), locks that slot (`slots.py`), and writes it to the disk as a
committed checkpoint (`persist.py`). On the way it fills in CRCs, hashes, and looks for weights that
are not finite (`stream.py`, `checksums.py`, `weights.py`). It tells how that ended on its board
(`persister_status.py`), which trainer and daemon read. After a crash the daemon asks for the newest
snapshot by a file (`persist_request.py`).

These things always hold. A slot is written only between WRITING and WHOLE of its seal, and locks
end with their process. So a killed trainer spoils only the slot that it was writing. Nothing that
is found in a slot is trusted: a damaged slot is a value. No module here imports torch.
"""
