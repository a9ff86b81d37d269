"""SLURM: the job that the run is in, and the controller, asked through SLURM's own commands.

`allocation.py` reads the job from the environment that slurmstepd set. `controller.py` runs
scontrol and squeue and parses what they print. `facts.py` is pure: from the controller's answer it
tells how much time the job has, why it ends, and whether it may be requeued. Where the controller
does not say why, `last_words.py` reads the reason from slurmstepd's line in the job's log.

The daemon (`daemon/look/scheduler.py`) asks these modules and passes a `JobSeen` to the core.
`steps.py` signals the tasks of an srun. `requeue.py` has the job requeued, as the daemon's last
act. `lock_holder.py` tells the run's lock whether a holder's job is over. `submission.py` keeps
the number of the submitted job, for `supervisor status`. The CLI uses the controller as well.

What always holds: a command that is absent, fails or hangs gives None, and None never means that
the job is over. Every command has a time limit. Only `steps.py` and `requeue.py` change anything
in SLURM.
"""
