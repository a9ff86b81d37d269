"""Signals the tasks of an srun that is the run's command.

srun would turn a SIGTERM into SIGKILL for them. So the controller signals the step, and srun gets
no SIGTERM.
"""

import re

from supervisor.slurm.controller import ask, fields

ANSWER_S = 5.0


def find_step(job_id: str, srun_pid: int) -> str | None:
    """The step that this srun has started, like `17.0`; None if the controller does not say."""
    text = ask(["scontrol", "-o", "show", "step", job_id], timeout_s=ANSWER_S)
    return None if text is None else step_of(text, job_id, srun_pid)


def step_of(text: str, job_id: str, srun_pid: int) -> str | None:
    """The same, from the output of `scontrol -o show step`."""
    for line in text.splitlines():
        found = fields(line)
        name, pid = found.get("StepId", ""), found.get("SrunHost:Pid", "").rpartition(":")[2]
        if pid == str(srun_pid) and re.fullmatch(rf"{job_id}\.\d+(?:\+\d+)?", name):
            return name
    return None


def signal_step(step: str, name: str) -> bool:
    """Signal all tasks of a step; False if the controller did not take the order."""
    return ask(["scancel", f"--signal={name}", step], timeout_s=ANSWER_S) is not None
