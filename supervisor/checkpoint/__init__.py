"""One checkpoint: written, listed, proven, set aside, pruned, pinned, exported.

Writing: `CheckpointWriter` (`commit.py`) collects files in a staging directory (`staging.py`). Its
`commit` hashes and flushes them, writes the manifest (`format.py`), and renames the directory. The
persister and `supervisor.torch` call it.

Listing: `names.py` tells by its name whether a file or directory is a checkpoint. `listing.py`
takes the fingerprint of its files by stat alone.

Proving: `validate.py` compares our own checkpoints with the hashes of their manifest. For another
trainer's checkpoint it calls `foreign.py`, which has each file's structure checked (`structure.py`,
`proofs/`, `formats/`). `siblings.py`, `sizes.py`, `named_step.py` and `own_format.py` compare one
with its series. The survey calls all of these, and returns `CheckpointEntry` values (`records.py`).

Moving: the daemon sets checkpoints aside (`set_aside.py`), corrects the trainer's pointers to them
(`pointers.py`), and has old ones deleted (`prune.py`). `owner_mark.py` says which run a checkpoint
directory belongs to.

What always holds: nothing is unpickled, torch is never imported, and links inside a checkpoint are
not followed. A checkpoint that this package writes is whole under its name, or absent. A damaged
checkpoint is a value, no error.
"""
