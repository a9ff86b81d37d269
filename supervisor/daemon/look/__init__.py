"""What is seen of a run: pages, log, processes, checkpoints, scheduler. Nothing here acts."""
