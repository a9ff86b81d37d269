"""What checkpoints a run has, on the disk and in memory: asked of a process apart, answered."""
