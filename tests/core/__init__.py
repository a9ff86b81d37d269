"""The core is pure: these tests need no process, no file and no clock."""
