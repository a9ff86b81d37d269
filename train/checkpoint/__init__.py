"""Checkpoints that hardly stall training: snapshots in memory, and putting them onto the disk."""
