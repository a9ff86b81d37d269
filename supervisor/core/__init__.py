"""Decisions: facts and time in, decisions out. No I/O, no clock, no threads, no processes."""
