"""How long each phase may take before an attempt is looked at; silence alone proves little."""

from supervisor.core.events import Observed
from supervisor.core.learned import Learned
from supervisor.core.look_facts import Health, Judgement
from supervisor.core.policy import Policy
from supervisor.core.sign_of_life import SignPhase, SignsSeen
from supervisor.core.states import Activity
from supervisor.core.vocabulary import Phase

STEP_FLOOR_S = 60.0
STEP_MULTIPLE = 10.0
# Until this daemon has seen a step it knows no duration: a step of a large batch may take minutes.
UNKNOWN_STEP_S = 1800.0
# Resuming may skip data for hours without a step (transformers #11284, #21934).
STARTUP_FLOOR_S = 120.0
STARTUP_MULTIPLE = 5.0
PHASE_FLOOR_S = {
    Phase.EVAL: 1800.0,
    Phase.SAVE: 1800.0,
    Phase.COMPILE: 3600.0,
    Phase.FINAL: 1800.0,
}
PHASE_MULTIPLE = 5.0
# NCCL's teardown, or a logger's last upload, takes minutes. After that the attempt is looked at.
LINGER_S = 600.0
# A loop that gives only signs of life may evaluate, or make rollouts, between two of them.
SIGN_FLOOR_S = 900.0
SIGN_MULTIPLE = 10.0


def deadline_s(phase: Phase, policy: Policy, learned: Learned) -> float | None:
    """How long `phase` may go without a sign of life, in seconds; None: no limit yet.

    A number in the configuration holds as it is. A learned deadline is a multiple of the longest
    time seen in this run, and a floor at least. ft_launcher, too, takes 5 × the observed maximum.
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
        case Phase.EVAL | Phase.SAVE | Phase.COMPILE | Phase.FINAL:
            configured = dict(policy.phase_timeouts_s).get(phase)
            if configured is not None:
                return configured
            return max(PHASE_FLOOR_S[phase], PHASE_MULTIPLE * (longest or 0.0))


def sign_limit_s(signs: SignsSeen, policy: Policy, learned: Learned) -> float:
    """How long no sign of life may come until the attempt is looked at, in seconds."""
    if policy.heartbeat_timeout_s is not None:
        return policy.heartbeat_timeout_s
    longest = learned.sign_gap_s
    if signs.phase is not SignPhase.NONE:
        longest = max(longest, learned.sign_phase_s)
    return max(SIGN_FLOOR_S, SIGN_MULTIPLE * longest)


def phase_in_force(seen: Observed, step: int | None, policy: Policy) -> Phase:
    """The phase whose deadline counts: after the last step, `final` replaces startup and step."""
    phase, last = seen.phase, policy.finish_step
    is_done = seen.is_at_total or (last is not None and step is not None and step >= last)
    return Phase.FINAL if is_done and phase in {Phase.STARTUP, Phase.STEP} else phase


def judge_health(
    seen: Observed,
    activity: Activity,
    policy: Policy,
    learned: Learned,
    now: float,
    *,
    standing_at: int | None = None,
    factor: int = 1,
) -> Judgement:
    """Whether the attempt is past its deadline, and the sentence that says so.

    `standing_at` is the step that the attempt is at, or resumed from. It is looked at only after
    `factor` times its deadline. An attached trainer that beats is known to be late; any other is
    only known to be silent.
    """
    excused = now - activity.excused_since if activity.excused_since is not None else float("inf")
    if seen.ended_age_s is not None:
        age = min(seen.ended_age_s, excused)
        if age > LINGER_S:
            why = f"the trainer said {age:.0f} s ago that it ends, but it has not ended"
            return Judgement(Health.LINGERING, why, age, LINGER_S)
        return Judgement()
    if seen.attached:
        phase = phase_in_force(seen, standing_at, policy)
        limit = deadline_s(phase, policy, learned)
        age = min(seen.beat_age_s, excused)
        if limit is not None and age > limit:
            where = phase.word if seen.step is None else f"{phase.word}, step {seen.step}"
            shown = limit if age <= limit * factor else limit * factor
            why = f"no sign of life for {age:.0f} s in phase {where} (limit {shown:.0f} s)"
            return Judgement(Health.OVERDUE, why, age, limit)
        if seen.beating:
            return Judgement()
    silence = min(seen.log_age_s, excused)
    signs = None if seen.attached else activity.signs
    if signs is not None and signs.last_at is not None:
        limit = sign_limit_s(signs, policy, learned)
        age = min(max(now - signs.last_at, 0.0), excused)
        if age > limit:
            where = "" if signs.phase is SignPhase.NONE else f" in phase {signs.phase}"
            shown = limit if age <= limit * factor else limit * factor
            why = f"no sign of life for {age:.0f} s{where} (limit {shown:.0f} s)"
            return Judgement(Health.QUIET, why, age, limit)
        silence = min(silence, age)
    if silence > policy.log_silence_s:
        limit = policy.log_silence_s
        why = f"train.log has not grown for {silence:.0f} s (limit {limit:.0f} s)"
        return Judgement(Health.SILENT, why, silence, limit)
    return Judgement()
