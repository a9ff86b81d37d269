"""The core is pure: its tests need no process, no file and no clock."""
