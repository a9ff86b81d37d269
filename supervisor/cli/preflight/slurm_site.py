"""The questions of `supervisor check` about SLURM, inside a job or before a job is submitted.

They change nothing.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.cli.preflight.finding import Finding, Level
from supervisor.cli.record import read_record
from supervisor.cli.submit.batch_script import LEAD_MARGIN_S
from supervisor.config.durations import format_duration
from supervisor.config.model import RunConfig
from supervisor.slurm import controller

# SlurmctldParameters up to 22.05, PreemptParameters in later versions (slurm.conf(5)).
_USER_SIGNAL = ("preempt_send_user_signal", "send_user_signal")
_STEP_COMMANDS = ("srun",)


@dataclass(frozen=True, slots=True)
class Site:
    """How SLURM treats the jobs of one partition."""

    partition: str
    preempt_mode: str
    """OFF, CANCEL, REQUEUE, SUSPEND …"""
    grace_time_s: float
    kill_wait_s: float
    sends_user_signal: bool
    requeues_by_default: bool
    max_time_s: float | None


def site_of(config: Mapping[str, str], partition: Mapping[str, str]) -> Site:
    """A site from `scontrol show config` and `scontrol show partition`."""
    words = ",".join(config.get(key, "") for key in ("SlurmctldParameters", "PreemptParameters"))
    mode = partition.get("PreemptMode", config.get("PreemptMode", "OFF"))
    if config.get("PreemptType", "") in ("", "(null)", "preempt/none"):
        mode = "OFF"
    return Site(
        partition=partition.get("PartitionName", "?"),
        preempt_mode=mode,
        grace_time_s=float(partition.get("GraceTime", "0") or 0),
        kill_wait_s=controller.duration_s(config.get("KillWait", "")) or 30.0,
        sends_user_signal=any(word in _USER_SIGNAL for word in words.split(",")),
        requeues_by_default=config.get("JobRequeue", "1") == "1",
        max_time_s=controller.duration_s(partition.get("MaxTime", "")),
    )


def findings(config: RunConfig, partition: str | None) -> Iterator[Finding]:
    """All findings; none on a machine without SLURM."""
    job_id = os.environ.get("SLURM_JOB_ID")
    if job_id is None and shutil.which("scontrol") is None:
        if partition is not None:
            yield Finding(
                "SLURM",
                Level.WARN,
                "there is no scontrol on this machine",
                "call it on a login node",
            )
        return
    answer = controller.configuration()
    if answer is None:
        text = "the controller does not answer: warnings, grace and requeues are not known"
        do = "see `scontrol ping`; in a container, mount what scontrol needs"
        yield Finding("SLURM", Level.WARN, text, do)
        return
    job = controller.show_job(job_id) if job_id else None
    found = _partition(partition or (job or {}).get("Partition"))
    if found is None:
        name = f"no partition {partition!r}" if partition else "no default partition"
        do = "name a partition: supervisor check CONFIG --partition NAME (`sinfo` lists them)"
        yield Finding("SLURM", Level.WARN, name, do)
        return
    site = site_of(answer, found)
    where = f"job {job_id}, " if job_id else ""
    yield Finding("SLURM", Level.OK, f"{where}partition {site.partition}")
    yield warning(site, uses_steps=_uses_steps(config))
    yield time_to_save(site, _last_save_s(config), uses_steps=_uses_steps(config))
    yield requeue(site, job)
    yield time_limit(site, config.grace, job)


def _partition(name: str | None) -> dict[str, str] | None:
    """The partition of that name, else the default one."""
    if name is not None:
        return controller.show_partition(name)
    listed = controller.partitions() or []
    return next((each for each in listed if each.get("Default") == "YES"), None)


def _uses_steps(config: RunConfig) -> bool:
    """Whether the trainer is a step of srun, which SLURM signals by itself."""
    return Path(config.command[0]).name in _STEP_COMMANDS


def _last_save_s(config: RunConfig) -> float | None:
    return read_record(Path(config.run_dir or "")).status.last_save_s


def _is_warned(site: Site, *, uses_steps: bool) -> bool:
    """Whether SLURM sends a signal when the grace time of a preemption begins."""
    return site.grace_time_s > 0 and (site.sends_user_signal or uses_steps)


def warning(site: Site, *, uses_steps: bool) -> Finding:
    """Whether SLURM announces a preemption to the run, given the site and the use of srun."""
    what, mode = "preemption", site.preempt_mode.split(",")[0]
    if mode == "OFF":
        return Finding(what, Level.OK, f"jobs of {site.partition} are not preempted")
    if mode in ("SUSPEND", "GANG"):
        return Finding(what, Level.OK, f"jobs of {site.partition} are suspended, not ended")
    if mode == "CANCEL":
        return Finding(
            what, Level.WARN, f"jobs of {site.partition} are cancelled, not requeued",
            "supervisor sbatch CONFIG --chain N submits N jobs that follow each other",
        )  # fmt: skip
    if site.grace_time_s <= 0:
        return Finding(
            what, Level.WARN,
            f"no warning: {site.partition} has GraceTime=0, so SLURM sends only SIGTERM, and"
            f" SIGKILL {_s(site.kill_wait_s)} later",
            "save often, or ask the administrator for a GraceTime",
        )  # fmt: skip
    grace = f"GraceTime is {_s(site.grace_time_s)}"
    if site.sends_user_signal:
        return Finding(what, Level.OK, f"announced by --signal=B:…; {grace}")
    if uses_steps:
        return Finding(what, Level.OK, f"announced to the tasks of srun by SIGTERM; {grace}")
    return Finding(
        what, Level.WARN,
        f"no warning will come: {grace}, but SLURM does not tell the batch script. Only when that "
        f"time is over come SIGTERM, and SIGKILL {_s(site.kill_wait_s)} later",
        "ask the administrator for SlurmctldParameters=preempt_send_user_signal "
        "(PreemptParameters=send_user_signal in later versions)",
    )  # fmt: skip


def time_to_save(site: Site, last_save_s: float | None, *, uses_steps: bool) -> Finding:
    """Whether the last save would fit between the first signal and SIGKILL."""
    warned = _is_warned(site, uses_steps=uses_steps)
    parts = [f"KillWait {_s(site.kill_wait_s)}"]
    given = site.kill_wait_s
    if warned and site.preempt_mode != "OFF":
        given += site.grace_time_s
        parts.insert(0, f"GraceTime {_s(site.grace_time_s)}")
    of = "a preemption" if site.preempt_mode != "OFF" else "scancel"
    text = f"{of} gives {_s(given)} ({' + '.join(parts)})"
    if last_save_s is None:
        return Finding("time to save", Level.OK, f"{text}; no save was timed yet")
    text += f"; the last save took {_s(last_save_s)}"
    if last_save_s > given:
        do = "the steps since the last checkpoint would be lost: save more often"
        return Finding("time to save", Level.FAIL, text, do)
    if last_save_s > given / 2:
        do = "a save hardly fits: one more step or a slow disk, and it is lost"
        return Finding("time to save", Level.WARN, text, do)
    return Finding("time to save", Level.OK, text)


def requeue(site: Site, job: Mapping[str, str] | None) -> Finding:
    """Whether the job may go into the queue again."""
    chain = "submit with sbatch --requeue, or with supervisor sbatch CONFIG --chain N"
    if job is not None:
        if job.get("Requeue") == "1":
            return Finding("requeue", Level.OK, "this job may be requeued")
        text = (
            "this job may not be requeued: it ends with exit 75, and then somebody has to submit it"
            " again"
        )
        return Finding("requeue", Level.WARN, text, chain)
    if site.requeues_by_default:
        return Finding("requeue", Level.OK, "allowed (JobRequeue=1)")
    text = "off by default here (JobRequeue=0); `supervisor sbatch` asks for it with --requeue"
    return Finding("requeue", Level.OK, text)


def time_limit(site: Site, grace_s: float, job: Mapping[str, str] | None) -> Finding:
    """Whether the time limit leaves time to train before the signal to save."""
    lead_s = grace_s + LEAD_MARGIN_S
    limit = controller.duration_s(job.get("TimeLimit", "")) if job else site.max_time_s
    if limit is None:
        return Finding("time limit", Level.OK, "none")
    whose = "of this job" if job else f"of {site.partition}, at most"
    text = f"{_s(limit)} {whose}; the signal to save comes {_s(lead_s)} before the end"
    # SLURM may send it up to a minute early (sbatch(1), --signal).
    if limit <= 2 * (lead_s + 60):
        do = "little time is left to train: choose a longer --time, or a shorter `grace`"
        return Finding("time limit", Level.WARN, text, do)
    return Finding("time limit", Level.OK, text)


def _s(seconds: float) -> str:
    return format_duration(seconds)
