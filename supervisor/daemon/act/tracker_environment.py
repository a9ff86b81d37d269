"""The variables by which an experiment tracker takes all attempts of a run for one."""

from collections.abc import Mapping

from supervisor.worker.adapters import OWN_WANDB, WANDB_RESUME, WANDB_RUN_ID

# W&B refuses the first two beside `resume`. An agent of a sweep has chosen the run.
_RULED_OUT_BY = ("WANDB_FORK_FROM", "WANDB_RESUME_FROM", "WANDB_SWEEP_ID")


def wandb_variables(given: Mapping[str, str], run_id: str) -> dict[str, str]:
    """W&B's variables for an attempt, and a list of those for the start-up hook.

    `given`: the user's environment, which stays as it is. Nothing is added to one that says itself
    how runs go on, otherwise than by `allow`: the user's words would get another effect.
    """
    outers = variables_of_outer_run(given)
    given = {name: value for name, value in given.items() if name not in outers}
    if any(given.get(name) for name in _RULED_OUT_BY):
        return {}
    if given.get(WANDB_RESUME, "allow") != "allow":
        return {}
    defaults = {WANDB_RUN_ID: run_id, WANDB_RESUME: "allow"}
    ours = {name: value for name, value in defaults.items() if name not in given}
    return {**ours, OWN_WANDB: ",".join(ours)} if ours else {}


def variables_of_outer_run(given: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that the supervisor of an outer run has set: in a run inside a run.

    One to which the user has given another value since then is the user's.
    """
    values = {WANDB_RUN_ID: given.get("SUPERVISOR_RUN_ID"), WANDB_RESUME: "allow"}
    listed = given.get(OWN_WANDB, "").split(",")
    return tuple(n for n in listed if n in values and given.get(n) == values[n])
