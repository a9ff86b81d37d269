"""Texts for systemd and SLURM."""
