"""The checkpoint format: written, proven, listed and set aside here. Never unpickles, no torch."""
