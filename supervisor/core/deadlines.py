"""How long each phase may take, and whether an attempt hangs; silence alone proves little."""

from enum import StrEnum

from supervisor.core.events import Observed
from supervisor.core.phase import Phase
from supervisor.core.policy import Policy
from supervisor.core.states import Activity, Learned

STEP_FLOOR_S = 60.0
STEP_MULTIPLE = 10.0
# Until this daemon has seen a step it knows nothing: one step of a large batch may take minutes.
UNKNOWN_STEP_S = 1800.0
# Resuming may skip data for hours without a step (transformers #11284, #21934).
STARTUP_FLOOR_S = 120.0
STARTUP_MULTIPLE = 5.0
PHASE_FLOOR_S = {Phase.EVAL: 1800.0, Phase.SAVE: 1800.0, Phase.COMPILE: 3600.0}
PHASE_MULTIPLE = 5.0


# Tearing down NCCL, or a logger that uploads what it has, takes minutes; then it hangs.
LINGER_S = 600.0


class Health(StrEnum):
    """What one look at an attempt says."""

    HEALTHY = "healthy"
    HUNG = "hung"
    SILENT = "silent"
    LINGERING = "lingering"


def deadline_s(phase: Phase, policy: Policy, learned: Learned) -> float | None:
    """How long `phase` may go without a sign of life, in seconds; None: no limit yet.

    A number in the configuration holds as it is. Learned ones are a floor, or a multiple of the
    longest seen in this run (ft_launcher, too, takes 5 × the observed maximum).
    """
    longest = learned.get(phase)
    match phase:
        case Phase.STARTUP:
            if policy.startup_timeout_s is not None:
                return policy.startup_timeout_s
            return None if longest is None else max(STARTUP_FLOOR_S, STARTUP_MULTIPLE * longest)
        case Phase.STEP:
            if policy.heartbeat_timeout_s is not None:
                return policy.heartbeat_timeout_s
            if longest is None:
                return UNKNOWN_STEP_S
            return max(STEP_FLOOR_S, STEP_MULTIPLE * longest)
        case Phase.EVAL | Phase.SAVE | Phase.COMPILE:
            configured = dict(policy.phase_timeouts_s).get(phase)
            if configured is not None:
                return configured
            return max(PHASE_FLOOR_S[phase], PHASE_MULTIPLE * (longest or 0.0))


def judge_health(
    seen: Observed, activity: Activity, policy: Policy, learned: Learned, now: float
) -> tuple[Health, str]:
    """Whether the attempt hangs, and the sentence that says so.

    An attached trainer that beats is known to hang; any other is only known to be silent.
    """
    excused = now - activity.excused_since if activity.excused_since is not None else float("inf")
    if seen.ended_age_s is not None:
        age = min(seen.ended_age_s, excused)
        if age > LINGER_S:
            return Health.LINGERING, f"it said {age:.0f} s ago that it ends, and has not"
        return Health.HEALTHY, ""
    if seen.attached:
        limit = deadline_s(seen.phase, policy, learned)
        age = min(seen.beat_age_s, excused)
        if limit is not None and age > limit:
            where = seen.phase.value if seen.step is None else f"{seen.phase}, step {seen.step}"
            why = f"no sign of life for {age:.0f} s in phase {where} (limit {limit:.0f} s)"
            return Health.HUNG, why
        if seen.beating:
            return Health.HEALTHY, ""
    silence = min(seen.log_age_s, excused)
    if silence > policy.log_silence_s:
        return (
            Health.SILENT,
            f"train.log has not grown for {silence:.0f} s (limit {policy.log_silence_s:.0f} s)",
        )
    return Health.HEALTHY, ""
