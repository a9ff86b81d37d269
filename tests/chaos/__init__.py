"""Crashes on purpose: every legal state after a power cut, a kill or an error at every call."""
