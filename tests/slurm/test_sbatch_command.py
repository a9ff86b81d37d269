"""`supervisor sbatch` with a stand-in for sbatch: what it submits, records, and refuses."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from supervisor.cli.commands.sbatch import sbatch_command
from supervisor.cli.commands.status import status_command
from supervisor.cli.record import read_record
from supervisor.cli.show.slurm_queue import queued
from supervisor.core.status import SlurmStatus, Status
from supervisor.core.vocabulary import ExitCode, Intent, RunState
from supervisor.errors import SupervisorError
from supervisor.rundir.intent import write_intent
from supervisor.rundir.paths import RunPaths
from supervisor.slurm.submission import recall, remember


@pytest.fixture
def paths(tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch) -> RunPaths:
    """A configuration in a fresh directory, which is the working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("config.yaml").write_text("name: docs\ncommand: [sh, -c, exit]\ngrace: 90s\n")
    (commands / "sbatch.out").write_text("77;east\n")
    return RunPaths(folder / "runs" / "docs")


def _call(*words: str) -> Result:
    return CliRunner().invoke(sbatch_command, ["config.yaml", *words])


def test_submits_and_remembers(paths: RunPaths, commands: Path) -> None:
    """The script goes to sbatch's stdin, the job's id into the run directory."""
    result = _call("--", "-p", "gpu", "--time=24:00:00")
    assert result.exit_code == 0, result.output
    assert "docs: submitted as job 77" in result.output
    assert "tail -F runs/docs/slurm-77.log" in result.output
    assert (commands / "sbatch.called").read_text() == "--parsable\n"
    script = (commands / "sbatch.script").read_text()
    assert "#SBATCH --signal=B:USR1@120\n" in script
    assert "#SBATCH -p gpu\n" in script
    assert script.splitlines()[-1].endswith('-m supervisor run --plain "$CONFIG"')
    job = recall(paths.submission)
    assert job is not None
    assert (job.job_id, job.cluster) == ("77", "east")


def test_print_submits_nothing(paths: RunPaths, commands: Path) -> None:
    """`--print` calls no sbatch and makes no directory."""
    result = _call("--print", "--chain", "4")
    assert "#SBATCH --array=1-4%1\n" in result.output
    assert not (commands / "sbatch.called").exists()
    assert not paths.run_dir.exists()


def test_a_refusal_of_sbatch_is_told(paths: RunPaths, commands: Path) -> None:
    """The error has sbatch's text, and no job is recorded."""
    (commands / "sbatch.error").write_text("sbatch: error: invalid partition specified: x\n")
    result = _call()
    assert isinstance(result.exception, SupervisorError)
    assert "invalid partition" in result.exception.message
    assert recall(paths.submission) is None


def test_one_job_for_a_run(paths: RunPaths, commands: Path) -> None:
    """A second job is refused while the first waits or runs, not once it is over or unknown."""
    paths.state_dir.mkdir(parents=True)
    remember(paths.submission, "70", None)
    (commands / "squeue.out").write_text("PENDING\n")
    refused = _call().exception
    assert isinstance(refused, SupervisorError)
    assert refused.code == ExitCode.LOCKED
    (commands / "squeue.out").write_text("COMPLETED\n")
    assert _call().exit_code == 0


def test_a_stopped_run_is_not_submitted(paths: RunPaths, commands: Path) -> None:
    """A stopped run is not submitted: the job would end at once. The hint is what to type."""
    paths.state_dir.mkdir(parents=True)
    write_intent(paths.intent, Intent.STOP)
    refused = _call().exception
    assert isinstance(refused, SupervisorError)
    assert refused.code == ExitCode.PREEMPTED
    assert "supervisor resume runs/docs" in (refused.hint or "")
    assert not (commands / "sbatch.called").exists()


def test_status_waits_in_the_queue(paths: RunPaths, commands: Path) -> None:
    """`status` shows the waiting job as text and as JSON, unless it is over or unreadable."""
    paths.state_dir.mkdir(parents=True)
    assert queued(paths, Status()) is None
    remember(paths.submission, "70", None)
    (commands / "squeue.out").write_text("PENDING|Priority|2027-01-02T03:04:05\n")
    record = read_record(paths.run_dir)
    shown = CliRunner().invoke(status_command, [str(paths.run_dir)]).output
    assert shown.splitlines()[0] == "docs  waiting in the queue"
    words = " ".join(shown.split())
    assert (
        "job 70 waits in the queue: other jobs go first; it may start 2027-01-02T03:04:05" in words
    )
    assert "scancel 70" in shown
    assert record.as_json()["slurm"] == {
        "job_id": "70", "queue_state": "PENDING", "queue_reason": "Priority",
    }  # fmt: skip
    (commands / "squeue.out").write_text("RUNNING|None|2027-01-02T03:04:05\n")
    assert queued(paths, Status()) is None
    (commands / "squeue.out").write_text("PENDING|Priority|N/A\n")
    assert queued(paths, Status(state=RunState.COMPLETED)) is None
    paths.submission.write_text("{}")
    assert queued(paths, Status()) is None
    # Submitted by hand: the job that ran last is the job that waits again.
    requeued = Status(state=RunState.PREEMPTED, slurm=SlurmStatus(job_id="69"))
    assert queued(paths, requeued) is not None
    (commands / "squeue.error").write_text("Unable to contact slurm controller\n")
    assert queued(paths, requeued) is None


def test_json(paths: RunPaths) -> None:
    """The JSON has the job's id, cluster and log."""
    body = json.loads(_call("--json").output)
    log = str(paths.run_dir / "slurm-77.log")
    assert body == {"job_id": "77", "cluster": "east", "log": log}
