"""The memory tier: snapshots of training state on tmpfs, and the process that persists them."""
