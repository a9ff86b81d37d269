"""The root of a run's processes. It starts, signals and reaps on the daemon's word; stdlib only."""
