"""From `supervisor run` to the launcher: may it start, whose is the directory, the exec."""
