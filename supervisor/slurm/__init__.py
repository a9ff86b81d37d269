"""SLURM as it is seen from inside and outside a job, through its own commands."""
