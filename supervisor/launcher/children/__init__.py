"""The launcher's processes: each spawned, kept and reaped."""
