"""Makes the core's policy and the trainer's command and environment from the configuration."""

import os
import shlex
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from supervisor.config.arguments import expand_arguments
from supervisor.config.model import RunConfig
from supervisor.core.policy import Policy
from supervisor.core.rules.exit_codes import ExitRule
from supervisor.core.rules.warm_launch import LaunchMode
from supervisor.core.save_terms import SAVE_TERMS
from supervisor.core.states import Checkpoint
from supervisor.core.vocabulary import Phase
from supervisor.daemon.act.tracker_environment import variables_of_outer_run, wandb_variables
from supervisor.worker.adapters import INTEGRATE, OWN_WANDB, RESUME_ARGS, STARTUP


def policy_of(config: RunConfig, run_id: str, config_path: str | None = None) -> Policy:
    """The part of the configuration that decisions depend on; the path is for what to type."""
    watch, restart = config.watch, config.restart
    timeouts = {
        Phase.EVAL: watch.eval_timeout,
        Phase.SAVE: watch.save_timeout,
        Phase.COMPILE: watch.compile_timeout,
    }
    return Policy(
        grace_s=config.grace,
        backoff_s=restart.backoff,
        backoff_max_s=restart.backoff_max,
        max_failures=restart.max_failures,
        max_per_day=restart.max_per_day,
        exit_codes=tuple(
            (code, ExitRule(word)) for code, word in sorted(restart.exit_codes.items())
        ),
        heartbeat_timeout_s=_seconds(watch.heartbeat_timeout),
        startup_timeout_s=_seconds(watch.startup_timeout),
        phase_timeouts_s=tuple(
            (phase, limit) for phase, limit in timeouts.items() if limit != "auto"
        ),
        log_silence_s=watch.log_silence,
        restart_on_silence=watch.on_silence == "restart",
        start_fresh_if_none_valid=config.resume.if_none_valid == "fresh",
        trainer_finds_checkpoints=config.resume.by == "trainer",
        has_resume_args=bool(config.resume.args),
        finish_step=config.finish.step,
        has_finish_condition=config.finish.step is not None or config.finish.file is not None,
        launch_mode=LaunchMode(config.launch.mode),
        has_launch_hook=config.hooks.before_launch is not None,
        seed=zlib.crc32(run_id.encode()),
        config_path="CONFIG" if config_path is None else shlex.quote(config_path),
        run_dir=shlex.quote(config.run_dir) if config.run_dir else "",
    )


def _seconds(value: float | Literal["auto"]) -> float | None:
    return None if isinstance(value, str) else value


def command_line(config: RunConfig, checkpoint: Checkpoint | None) -> list[str]:
    """The trainer's argument list, with the resume arguments where there is a checkpoint."""
    if checkpoint is None:
        return [*config.command, *config.resume.fresh_args]
    extra = expand_arguments(config.resume.args, checkpoint=checkpoint.path, step=checkpoint.step)
    return [*config.command, *extra]


def environment(
    config: RunConfig,
    inherited: Mapping[str, str],
    *,
    run_dir: Path,
    run_id: str,
    attempt: int,
    heartbeat_dir: Path,
    snapshot_dir: Path | None,
    checkpoint: Checkpoint | None,
    imports: Path | None = None,
    save_terms: str | None = None,
) -> tuple[dict[str, str], list[str]]:
    """The variables set for the trainer over the inherited ones, and the names taken out.

    `imports`: where the trainer's worker writes the modules imported before its first step.
    `save_terms`: what a trainer that finds its time between saves by itself needs to know.
    """
    given = {**inherited, **config.env}
    # A buffered traceback dies with its process.
    # torchrun's own 30 s killed ranks before they had saved (pytorch #68258, #119856).
    defaults = {
        "PYTHONUNBUFFERED": "1",
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(max(int(config.grace), 1)),
    }
    overlay = {key: value for key, value in defaults.items() if key not in given}
    wandb = wandb_variables(given, run_id)
    overlay |= wandb | config.env
    overlay |= {
        "SUPERVISOR_RUN_DIR": str(run_dir),
        "SUPERVISOR_RUN_ID": run_id,
        "SUPERVISOR_ATTEMPT": str(attempt),
        "SUPERVISOR_HEARTBEAT": str(heartbeat_dir),
        "SUPERVISOR_GRACE_S": f"{config.grace:g}",
    }
    # A trainer that prints its environment would put the addresses into train.log.
    secret = config.notify.variables
    unset = ["SUPERVISOR_CONFIG", *(name for name in secret if name not in overlay)]
    outers = (OWN_WANDB, *variables_of_outer_run(given))
    unset.extend(name for name in outers if name not in overlay)
    wanted = config.integrate
    overlay[INTEGRATE] = wanted if isinstance(wanted, str) else ",".join(wanted)
    folders = python_path(given.get("PYTHONPATH", ""), has_hook=wanted != "none")
    if folders:
        overlay["PYTHONPATH"] = folders
    else:
        overlay.pop("PYTHONPATH", None)
        unset.append("PYTHONPATH")
    if config.resume.args:
        overlay[RESUME_ARGS] = "1"
    else:
        unset.append(RESUME_ARGS)
    if config.checkpoints.directory is not None:
        overlay["SUPERVISOR_CHECKPOINT_DIR"] = str(config.checkpoints.directory)
    if snapshot_dir is None:
        unset.append("SUPERVISOR_SNAPSHOT_DIR")
    else:
        overlay["SUPERVISOR_SNAPSHOT_DIR"] = str(snapshot_dir)
    if save_terms is None:
        unset.append(SAVE_TERMS)
    else:
        overlay[SAVE_TERMS] = save_terms
    if imports is None:
        unset.append("SUPERVISOR_IMPORTS")
    else:
        overlay["SUPERVISOR_IMPORTS"] = str(imports)
    if checkpoint is None:
        unset.append("SUPERVISOR_RESUME_FROM")
    else:
        overlay["SUPERVISOR_RESUME_FROM"] = checkpoint.path
    return overlay, unset


def python_path(found: str, *, has_hook: bool) -> str:
    """PYTHONPATH with the start-up hook's folder before all others, or without it.

    The folder may be there already: in a run inside a run. An empty entry means the working
    directory, and stays. A folder with a colon in its name cannot be put there.
    """
    theirs = found.split(os.pathsep) if found else []
    ours = [STARTUP] if has_hook and os.pathsep not in STARTUP else []
    return os.pathsep.join([*ours, *(entry for entry in theirs if entry != STARTUP)])
