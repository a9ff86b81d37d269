"""Whole runs: `supervisor run` as a user starts it, with real processes, signals and files."""
