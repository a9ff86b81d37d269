"""Names of failures that the core finds itself, for who probes or tells them; it imports nothing.

`supervisor status` reads them, and must not pay for the rest of the core.
"""

# What the daemon probes for while a mount is missing, and what `run --from-nothing` lifts.
MISSING = "checkpoints_missing"
UNSEEN = "checkpoints_unseen"
# Told to go on from a checkpoint, the trainer began from nothing.
IGNORED = "resume_ignored"
