"""What `supervisor check` concludes from a site's settings; and the lock probe."""

import fcntl
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.cli.preflight import lock_probe
from supervisor.cli.preflight.finding import Level
from supervisor.cli.preflight.slurm_site import (
    Site,
    requeue,
    site_of,
    time_limit,
    time_to_save,
    warning,
)

SITE = Site("gpu", "REQUEUE", 60.0, 30.0, True, True, 86400.0)


def test_site_from_what_scontrol_shows() -> None:
    """The user signal is found in either key; without preemption the mode is OFF."""
    partition = {"PartitionName": "gpu", "PreemptMode": "REQUEUE", "GraceTime": "60"}
    partition["MaxTime"] = "1-00:00:00"
    config = {"PreemptType": "preempt/partition_prio", "KillWait": "30 sec", "JobRequeue": "1"}
    for key, value in (
        ("SlurmctldParameters", "enable_configless,preempt_send_user_signal"),
        ("PreemptParameters", "send_user_signal,youngest_first"),
    ):
        assert site_of({**config, key: value}, partition) == SITE
    assert not site_of(config, partition).sends_user_signal
    none = site_of({**config, "PreemptType": "preempt/none"}, partition)
    assert none.preempt_mode == "OFF"


@pytest.mark.parametrize(
    ("site", "uses_steps", "level"),
    [
        (SITE, False, Level.OK),
        (replace(SITE, sends_user_signal=False), False, Level.WARN),
        (replace(SITE, sends_user_signal=False), True, Level.OK),
        (replace(SITE, grace_time_s=0.0), True, Level.WARN),
        (replace(SITE, preempt_mode="CANCEL"), False, Level.WARN),
        (replace(SITE, preempt_mode="OFF", sends_user_signal=False), False, Level.OK),
        (replace(SITE, preempt_mode="SUSPEND"), False, Level.OK),
    ],
)
def test_whether_a_warning_comes(site: Site, uses_steps: bool, level: Level) -> None:
    """The warning depends on the layout and on the site's settings."""
    found = warning(site, uses_steps=uses_steps)
    assert found.level is level
    assert found.do is not None or level is Level.OK


@pytest.mark.parametrize(
    ("signal", "took", "level"),
    [
        (True, None, Level.OK),
        (True, 40.0, Level.OK),
        (True, 50.0, Level.WARN),
        (True, 91.0, Level.FAIL),
        (False, 14.0, Level.OK),
        (False, 31.0, Level.FAIL),
    ],
)
def test_whether_the_last_save_fits(signal: bool, took: float | None, level: Level) -> None:
    """A site that warns gives GraceTime and KillWait; another gives only KillWait."""
    site = replace(SITE, sends_user_signal=signal)
    assert time_to_save(site, took, uses_steps=False).level is level


def test_requeue_and_time_limit() -> None:
    """The job's own permission overrides the site's; a limit near the lead brings a warning."""
    assert requeue(SITE, None).level is Level.OK
    assert requeue(SITE, {"Requeue": "0"}).level is Level.WARN
    assert requeue(replace(SITE, requeues_by_default=False), {"Requeue": "1"}).level is Level.OK
    assert time_limit(SITE, 120.0, None).level is Level.OK
    assert time_limit(SITE, 120.0, {"TimeLimit": "00:05:00"}).level is Level.WARN
    assert time_limit(SITE, 120.0, {"TimeLimit": "UNLIMITED"}).level is Level.OK


def test_locks_that_work(tmp_path: Path) -> None:
    """A second process is refused, then admitted, and no file is left."""
    found = lock_probe.locks(tmp_path / "not" / "there" / "yet")
    assert found is not None
    assert found.level is Level.OK, found
    assert list(tmp_path.iterdir()) == []


def test_locks_that_do_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe reports a file system that grants every lock, none, or only local locks."""

    def given_to_all(fd: int, operation: int) -> None:
        """Grant without locking."""

    def refused(fd: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock_probe.fcntl, "flock", given_to_all)
    found = lock_probe.locks(tmp_path)
    assert found is not None
    assert "taken and taken" in found.text
    monkeypatch.setattr(lock_probe.fcntl, "flock", refused)
    found = lock_probe.locks(tmp_path)
    assert found is not None
    assert "No locks available" in found.text
    monkeypatch.undo()
    monkeypatch.setattr(lock_probe, "mount_options", lambda _: frozenset({"rw", "nolock"}))
    found = lock_probe.locks(tmp_path)
    assert found is not None
    assert found.level is Level.WARN
    assert fcntl.flock is lock_probe.fcntl.flock
