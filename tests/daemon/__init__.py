"""The daemon's parts, each with real files, pipes and processes."""
