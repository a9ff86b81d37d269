"""The variables by which an experiment tracker takes all attempts of a run for one."""

from collections.abc import Mapping

from supervisor.worker.adapters import OWN_WANDB, WANDB_RESUME, WANDB_RUN_ID


def wandb_variables(given: Mapping[str, str], run_id: str, attempt: int) -> dict[str, str]:
    """W&B's variables for an attempt, and a list of those for the start-up hook.

    `given`: the user's environment, which stays as it is. A run that the user forks, rewinds or
    treats otherwise than by `allow` gets nothing: W&B refuses some of these together, and of
    others the user's would have another effect.
    """
    if given.get("WANDB_FORK_FROM") or given.get("WANDB_RESUME_FROM"):
        return {}
    if given.get("WANDB_SWEEP_ID"):
        # The agent has chosen the run. In a later attempt W&B would write it anew.
        again = attempt > 1 and bool(given.get(WANDB_RUN_ID)) and WANDB_RESUME not in given
        return {WANDB_RESUME: "allow"} if again else {}
    if given.get(WANDB_RESUME, "allow") != "allow":
        return {}
    defaults = {WANDB_RUN_ID: run_id, WANDB_RESUME: "allow"}
    ours = {name: value for name, value in defaults.items() if name not in given}
    return {**ours, OWN_WANDB: ",".join(ours)} if ours else {}
