"""The tasks of an srun that is the run's command. srun turns a SIGTERM into SIGKILL for them.

So the step is signalled, through the controller, and srun never.
"""

import re

from supervisor.slurm.controller import ask, fields

ANSWER_S = 5.0


def find_step(job_id: str, srun_pid: int) -> str | None:
    """The step that this srun has started, like `17.0`; None where nobody says."""
    text = ask(["scontrol", "-o", "show", "step", job_id], timeout_s=ANSWER_S)
    return None if text is None else step_of(text, job_id, srun_pid)


def step_of(text: str, job_id: str, srun_pid: int) -> str | None:
    """The same from what `scontrol -o show step` printed."""
    for line in text.splitlines():
        found = fields(line)
        name, pid = found.get("StepId", ""), found.get("SrunHost:Pid", "").rpartition(":")[2]
        if pid == str(srun_pid) and re.fullmatch(rf"{job_id}\.\d+(?:\+\d+)?", name):
            return name
    return None


def signal_step(step: str, name: str) -> bool:
    """Signal all tasks of a step; False where the controller did not take it."""
    return ask(["scancel", f"--signal={name}", step], timeout_s=ANSWER_S) is not None
