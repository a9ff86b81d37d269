"""The reference trainer: a loop to read in ten minutes. It imports nothing of the daemon."""
