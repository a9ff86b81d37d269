"""The status of a run, from what the daemon knows of it."""

import socket
from dataclasses import dataclass
from pathlib import Path

from supervisor.config.model import RunConfig
from supervisor.core.changed_status import ChangedStatus
from supervisor.core.described_status import DescribedStatus, TrainingStatus
from supervisor.core.metered_status import AtRiskStatus, GpuStatus
from supervisor.core.notify_status import NotifyStatus
from supervisor.core.printed_status import PrintedStatus
from supervisor.core.rules.budget import DAY_S
from supervisor.core.rules.deadlines import sign_limit_s
from supervisor.core.rules.goodput import goodput, total_s
from supervisor.core.save_interval_status import SaveIntervalStatus
from supervisor.core.sign_of_life import OwnSave, SignPhase, SignsSeen
from supervisor.core.sign_of_life_status import SignOfLifeStatus
from supervisor.core.states import State
from supervisor.core.status import (
    AdviceStatus,
    BudgetStatus,
    CheckpointStatus,
    GoodputStatus,
    LaunchStatus,
    PersisterStatus,
    Pids,
    SlurmStatus,
    SnapshotStatus,
    Status,
    StoppingStatus,
)
from supervisor.core.vocabulary import RunState
from supervisor.core.wording import SIGN_OF_LIFE
from supervisor.daemon.look.observer import Observation
from supervisor.daemon.look.printed_course import Course
from supervisor.system.clock import rfc3339


@dataclass(slots=True)
class StatusFacts:
    """What the status shows besides the core's state."""

    run_id: str
    config: RunConfig
    config_path: str
    started_wall: float
    launcher_pid: int | None = None
    daemon_pid: int | None = None
    trainer_pid: int | None = None
    restarts: int = 0
    restarts_by_failure: tuple[tuple[str, int], ...] = ()
    incidents: int = 0
    gpus: tuple[GpuStatus, ...] = ()
    last_save_s: float | None = None
    snapshot: SnapshotStatus | None = None
    persister: PersisterStatus | None = None
    launch: LaunchStatus | None = None
    slurm: SlurmStatus | None = None
    notify: NotifyStatus | None = None
    changed: ChangedStatus | None = None
    warnings: tuple[str, ...] = ()
    no_adapter: str | None = None
    """Why the running attempt has no adapter, if that is known."""
    recovery: tuple[str, ...] = ()
    save_interval: SaveIntervalStatus | None = None
    missing: str | None = None
    """The sentence on missing checkpoints, as long as they are missing."""
    frozen: str | None = None
    """The sentence on a launcher stopped by a signal, as long as it is stopped."""
    unheard: str | None = None
    """Why the operator's intent cannot be read, as long as it cannot."""
    doubts: tuple[str, ...] = ()
    """Warnings that may pass: another run's directory, saves elsewhere, a doubtful resume."""


def status_of(
    state: State, facts: StatusFacts, look: Observation | None, *, now: float, wall: float
) -> Status:
    """The whole status."""
    config = facts.config
    alive = state.alive
    seen = look.observed if look is not None and alive else None
    shown = look if alive else None
    waits = state.run in {RunState.BACKOFF, RunState.WAITING} and state.wake_at is not None
    next_at = rfc3339(wall + max((state.wake_at or now) - now, 0.0)) if waits else None
    newest = state.newest
    activity = state.activity
    account = state.account
    said = state.description
    total = None if said is None else said.total_steps
    total = total or config.finish.step or (shown.total if shown else None)
    is_over = said is not None and said.is_over
    return Status(
        run=config.name,
        run_id=facts.run_id,
        name=config.name,
        state=state.run,
        attempt=state.attempt,
        restarts=facts.restarts,
        restarts_by_failure=facts.restarts_by_failure,
        incidents=facts.incidents,
        pids=Pids(
            launcher=facts.launcher_pid,
            daemon=facts.daemon_pid,
            trainer=facts.trainer_pid if alive else None,
        ),
        phase=activity.phase.word if alive and activity.attached else None,
        step=activity.step if alive else _last_step(state),
        epoch=shown.epoch if shown else None,
        loss=finite(shown.loss) if shown else None,
        grad_norm=finite(shown.grad_norm) if shown else None,
        step_rate=shown.step_rate if shown else None,
        total=total,
        eta_s=None if is_over else _eta_s(total, shown),
        printed=_printed(shown.course) if shown else None,
        heartbeat_age_s=_rounded(shown.heartbeat_age_s) if shown else None,
        log_age_s=_rounded(seen.log_age_s) if seen else None,
        overdue=alive and _is_overdue(state, look),
        attached=activity.attached if alive else None,
        sign_of_life=_sign_of_life(state, look, now),
        world_size=shown.world_size if shown else None,
        adapter=_adapter(state, facts, look),
        described=_described(state, config.run_dir),
        recovery=facts.recovery,
        checkpoint=None
        if newest is None
        else CheckpointStatus(newest.path, newest.step, newest.kind, _since(newest.written, wall)),
        at_risk=_at_risk(state, facts, shown, wall) if alive else None,
        snapshot=facts.snapshot,
        persister=facts.persister,
        launch=facts.launch,
        slurm=facts.slurm,
        failure=state.failure,
        action=None if state.action is None else state.action.told,
        notify=facts.notify,
        changed=facts.changed,
        reason=state.reason or None,
        advice=None
        if state.advice is None
        else AdviceStatus(state.advice.sentence, state.advice.command or None),
        next_at=next_at,
        intent=state.intent,
        stopping=None
        if state.stop is None
        else StoppingStatus(
            by=state.stop.by,
            since=rfc3339(wall - max(now - state.stop.since, 0.0)),
            grace_s=state.policy.grace_s,
            waits_for="own save" if state.stop.own_save is OwnSave.AWAITED else None,
        ),
        interrupts=state.stop.interrupts if state.stop else 0,
        budget=BudgetStatus(
            failures=state.budget.failures,
            max_failures=state.policy.max_failures,
            today=sum(1 for failed in state.budget.recent if now - failed < DAY_S),
            max_per_day=state.policy.max_per_day,
            free_restarts=state.budget.free_restarts,
        ),
        goodput=GoodputStatus(
            goodput=_rounded(goodput(account), 4),
            launching_s=_rounded(account.launching_s),
            training_s=_rounded(account.training_s),
            saving_s=_rounded(account.saving_s),
            replaying_s=_rounded(account.replaying_s),
            waiting_s=_rounded(account.waiting_s),
            down_s=_rounded(account.down_s),
            unknown_s=_rounded(account.unknown_s),
            total_s=_rounded(total_s(account)),
        ),
        launcher_frozen=facts.frozen is not None,
        last_save_s=facts.last_save_s,
        save_interval=facts.save_interval,
        gpus=facts.gpus if alive else (),
        grace_s=config.grace,
        warnings=(
            *facts.warnings,
            *facts.doubts,
            *_absent(facts.missing),
            *_absent(facts.unheard),
            *_absent(facts.frozen),
        ),
        host=socket.gethostname(),
        config=facts.config_path,
        run_dir=config.run_dir,
        started_at=rfc3339(facts.started_wall),
        updated_at=rfc3339(wall),
    )


def _adapter(state: State, facts: StatusFacts, look: Observation | None) -> str | None:
    said = None if state.description is None else state.description.framework
    if _signs_of(state, look) is not None and not (said or "").endswith(SIGN_OF_LIFE):
        return SIGN_OF_LIFE if said is None else f"{said}, {SIGN_OF_LIFE}"
    if said is None and facts.no_adapter is not None and state.alive:
        return f"none ({facts.no_adapter})"
    return said


def _signs_of(state: State, look: Observation | None) -> SignsSeen | None:
    """The signs that count: none where a rank is attached, or nothing runs."""
    is_attached = look is not None and look.observed.attached
    return None if is_attached or not state.alive else state.activity.signs


def _sign_of_life(state: State, look: Observation | None, now: float) -> SignOfLifeStatus | None:
    signs = _signs_of(state, look)
    if signs is None:
        return None
    return SignOfLifeStatus(
        age_s=None if signs.last_at is None else _rounded(max(now - signs.last_at, 0.0)),
        longest_gap_s=_rounded(state.learned.sign_gap_s),
        limit_s=_rounded(sign_limit_s(signs, state.policy, state.learned)),
        phase=None if signs.phase is SignPhase.NONE else signs.phase,
        processes=signs.processes,
    )


def _described(state: State, run_dir: str | None) -> DescribedStatus | None:
    said = state.description
    if said is None or not said.is_attached:
        return None
    home, training = Path(run_dir or "/"), said.training
    return DescribedStatus(
        directory=None if said.directory is None else str(home / said.directory),
        best=None if said.best is None else str(home / said.best),
        training=None if training is None else TrainingStatus(training.directory, training.ordinal),
    )


def _absent(sentence: str | None) -> tuple[str, ...]:
    return () if sentence is None else (sentence,)


def _eta_s(total: int | None, look: Observation | None) -> float | None:
    step = None if look is None else look.observed.step
    if total is None or look is None or step is None or not look.pace:
        return None
    return _rounded(max(total - step, 0) / look.pace)


def _is_overdue(state: State, look: Observation | None) -> bool:
    """Whether it has given no sign of life past its deadline."""
    log_age_s = None if look is None else look.observed.log_age_s
    is_silent = log_age_s is not None and log_age_s > state.policy.log_silence_s
    looks = state.activity.looks
    return looks.overdue is not None or (state.activity.silence_reported and is_silent)


def _at_risk(
    state: State, facts: StatusFacts, look: Observation | None, wall: float
) -> AtRiskStatus | None:
    """What a kill now would lose; None before the first step or save."""
    newest, snapshot = state.newest, facts.snapshot
    kept = [s.step for s in (newest, snapshot) if s is not None and s.step is not None]
    step = state.activity.step
    if step is None or look is None or (newest is not None and not kept):
        return AtRiskStatus(None, _since(newest.written, wall)) if newest is not None else None
    steps = max(step - max(kept, default=0), 0)
    return AtRiskStatus(steps, _rounded(steps / look.pace) if look.pace else None)


def _since(written: float | None, wall: float) -> float | None:
    """Seconds since a time of day; 0 where the clock was set back."""
    return None if written is None else _rounded(max(wall - written, 0.0))


def _printed(course: Course) -> PrintedStatus | None:
    """What is printed; None if nothing is known of it."""
    values = course._replace(
        loss=finite(course.loss),
        step_rate=_rounded(course.step_rate, 4),
    )._asdict()
    return PrintedStatus(**values) if any(v is not None for v in values.values()) else None


def _last_step(state: State) -> int | None:
    """The step where the last attempt ended; if unknown, the highest that any attempt reached."""
    return state.reached_step if state.activity.step is None else state.activity.step


def finite(value: float | None) -> float | None:
    """The value where JSON has a word for it, else None."""
    return value if value is not None and value - value == 0 else None


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)
