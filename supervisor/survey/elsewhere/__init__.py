"""Saves that lie where nobody looks for them: found, told apart from other files, told."""
