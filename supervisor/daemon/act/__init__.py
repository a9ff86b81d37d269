"""Every effect of the core's decisions."""
