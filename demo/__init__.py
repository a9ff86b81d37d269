"""Kills a real training run and shows that nothing was lost: `python -m demo --output DIR`."""
