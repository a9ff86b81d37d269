"""Crashes on purpose: each legal state after a power cut, and a kill or an error at each call."""
