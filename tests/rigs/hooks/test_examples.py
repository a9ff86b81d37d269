"""The example configurations of `configs/hooks/`: each does what docs/hooks.md says of it."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from supervisor.config.load import load_config
from supervisor.rundir.status_file import read_status
from tests.e2e.conftest import uninterrupted
from tests.rigs.hooks.conftest import EXAMPLES, TOOLS, Bucket, Example
from tests.rigs.monitoring.test_monitoring import free_port
from tests.rigs.waiting import wait_until

pytestmark = [
    pytest.mark.rig,
    pytest.mark.skipif(
        shutil.which("rclone") is None or not (TOOLS / "moto_server").exists(),
        reason="needs Debian's rclone, and HOOKS_TOOLS (`make test-hooks`)",
    ),
]


def begun(example: Example, **more: object) -> Path:
    """The configuration of a run that saves into outputs/, which is there and empty."""
    outputs = example.folder / "outputs"
    outputs.mkdir(exist_ok=True)
    env = {"OUTPUT": outputs, "GATE": example.folder / "gate"}
    return example.configure("bucket", env={**env, **more})


def stop_with_a_copy(example: Example, bucket: Bucket) -> None:
    """Have a run stopped at step 25, and in the bucket."""
    path = begun(example, HOLD=25)
    process = example.start(path)
    wait_until(lambda: "checkpoint-20" in bucket.copies(), 120, story=example.log.read_text)
    process.terminate()
    assert example.finish(process) == 75
    assert "checkpoint-25" in bucket.copies()


def lose_the_disk(example: Example) -> None:
    """Neither the checkpoints nor the run's record are there any more."""
    for name in ("outputs", "run"):
        (example.folder / name).rename(example.folder / f"lost-{name}")


def resumed_from(example: Example) -> list[int | None]:
    """The steps that the attempts were started from."""
    started = [entry["checkpoint"] for entry in example.entries("attempt_started")]
    return [None if one is None else one["step"] for one in started]


def test_a_new_disk_goes_on_from_the_bucket(example: Example, bucket: Bucket) -> None:
    """To the same weights as a run that nothing befell."""
    stop_with_a_copy(example, bucket)
    assert not example.entries("hook_failed")
    lose_the_disk(example)
    path = begun(example)
    assert "before_launch" in example.check(path)
    assert example.finish(example.start(path)) == 0
    assert resumed_from(example) == [25]
    assert "fetched checkpoint-25" in example.hook_log("before_launch")
    weight = (example.folder / "outputs" / "checkpoint-40" / "model.pt").read_text()
    assert float(weight) == uninterrupted()
    assert "checkpoint-40" in bucket.copies()
    assert not example.entries("hook_failed")
    assert "hunter2" not in example.log.read_text()


def test_a_copy_without_its_marker_or_a_file_is_not_taken(example: Example, bucket: Bucket) -> None:
    """If no copy is whole, the launch is refused."""
    push(example, saved(example, "checkpoint-20", "first", 2e9))
    push(example, saved(example, "checkpoint-25", "second", 2e9))
    bucket.remove("000001.files/checkpoint-20/model 1.pt")
    bucket.remove("000002.complete")
    shutil.rmtree(example.folder / "outputs")
    process = example.start(begun(example))
    wait_until(lambda: example.state() == "waiting", 60, story=example.log.read_text)
    status = read_status(example.paths.status)
    assert status is not None
    assert status.failure == "launch_refused"
    assert "is complete" in (status.reason or "")
    assert not list((example.folder / "outputs").iterdir())
    process.terminate()
    assert example.finish(process) == 75
    assert resumed_from(example) == []


def test_a_bucket_that_does_not_answer_refuses_the_launch(example: Example, bucket: Bucket) -> None:
    """The run must not begin from nothing, only because the network is down."""
    closed = f"http://127.0.0.1:{free_port()}"
    example.environ |= {"AWS_ENDPOINT_URL": closed, "RCLONE_CONFIG_STORE_ENDPOINT": closed}
    example.environ |= {"RCLONE_LOW_LEVEL_RETRIES": "1"}
    process = example.start(begun(example))
    wait_until(lambda: example.state() == "waiting", 120, story=example.log.read_text)
    process.terminate()
    assert example.finish(process) == 75
    assert resumed_from(example) == []


def test_an_empty_bucket_lets_the_run_begin(example: Example, bucket: Bucket) -> None:
    """Its checkpoints are copied, the last one before the supervisor ends."""
    assert example.finish(example.start(begun(example))) == 0
    assert resumed_from(example) == [None]
    assert "checkpoint-40" in bucket.copies()


def hook(example: Example, script: str, **facts: object) -> "subprocess.CompletedProcess[str]":
    """Run one of the scripts by itself; the facts that are not given are empty."""
    given = {"run": "bucket", "newest_checkpoint": "", **facts}
    variables = {f"SUPERVISOR_HOOK_{name.upper()}": str(fact) for name, fact in given.items()}
    return subprocess.run(
        ["sh", str(EXAMPLES / script)],
        env={**example.environ, **variables}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True,
    )  # fmt: skip


def push(example: Example, path: Path) -> None:
    """Run the hook checkpoint_proven for a checkpoint in outputs/."""
    done = hook(
        example, "bucket_push.sh", checkpoint=path, checkpoint_dir=example.folder / "outputs"
    )
    assert done.returncode == 0, done.stderr


def fetched(example: Example) -> list[str]:
    """Run the hook before_launch for an empty disk; the files that it brought, with their text."""
    folder = example.folder / "new"
    done = hook(example, "bucket_fetch.sh", checkpoint_dir=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = [f"{path.relative_to(folder)}: {path.read_text()}" for path in files]
    shutil.rmtree(folder)
    return sorted(found)


def saved(example: Example, name: str, text: str, at: float) -> Path:
    """A checkpoint in outputs/ whose file was written at that time."""
    path = example.folder / "outputs" / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "model 1.pt").write_text(text)
    os.utime(path / "model 1.pt", (at, at))
    return path


def test_the_last_copy_is_taken_whatever_its_name(example: Example, bucket: Bucket) -> None:
    """After a rollback, and of two stages that both count from 1; the one before it if it is torn.

    Names have spaces. The file of the last copy is older and as large as the one that it replaces.
    """
    push(example, saved(example, "stage 1/checkpoint-20", "first", 2e9))
    single = example.folder / "outputs" / "final model.pt"
    single.write_text("a file")
    push(example, single)
    assert fetched(example) == ["final model.pt: a file"]
    push(example, saved(example, "stage 2/checkpoint-10", "stage", 2e9))
    again = saved(example, "stage 1/checkpoint-20", "other", 1e9)
    push(example, again)
    everything = bucket.names()
    push(example, again)
    assert bucket.names() == everything
    assert fetched(example) == ["stage 1/checkpoint-20/model 1.pt: other"]
    copies = bucket.copies()
    assert sorted(copies.values()) == ["000002", "000003", "000004"]
    bucket.remove("000004.files/stage 1/checkpoint-20/model 1.pt")
    assert fetched(example) == ["stage 2/checkpoint-10/model 1.pt: stage"]


@pytest.mark.parametrize("bucket", ["rclone"], indirect=True)
def test_what_stood_in_the_place_of_a_fetched_checkpoint_is_kept(
    example: Example, bucket: Bucket
) -> None:
    """Also when another one is fetched to the same place later."""
    path = saved(example, "checkpoint-5", "whole", 2e9)
    push(example, path)
    for text in ("torn", "torn again"):
        (path / "model 1.pt").write_text(text)
        done = hook(example, "bucket_fetch.sh", checkpoint_dir=path.parent)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (path / "model 1.pt").read_text() == "whole"
    kept = path.parent.glob(".invalid-*/invalid/model 1.pt")
    assert {one.read_text() for one in kept} == {"torn", "torn again"}


def test_a_bucket_that_is_not_there_is_not_an_empty_one(example: Example, bucket: Bucket) -> None:
    """A mistyped name must not let the run begin from nothing. Nothing is copied there, either."""
    path = saved(example, "checkpoint-5", "text", 2e9)
    right = example.environ["BUCKET"]
    for wrong in (right.replace("checkpoints", "chekpoints"), "checkpoints/runs"):
        example.environ |= {"BUCKET": wrong}
        folder = example.folder / "new"
        assert hook(example, "bucket_fetch.sh", checkpoint_dir=folder).returncode == 1
        assert not folder.exists()
        facts = {"checkpoint": path, "checkpoint_dir": path.parent}
        assert hook(example, "bucket_push.sh", **facts).returncode != 0
    # A folder that rclone or the AWS CLI has not seen yet is one where nothing was saved.
    example.environ |= {"BUCKET": f"{right}/new/"}
    assert hook(example, "bucket_fetch.sh", checkpoint_dir=folder).returncode == 0
    push(example, path)
    assert fetched(example) == ["checkpoint-5/model 1.pt: text"]


def with_program(example: Example, name: str, text: str) -> None:
    """Have the hooks find this shell script as a program of that name."""
    program = example.folder / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    example.environ |= {"PATH": f"{program.parent}:{example.environ['PATH']}"}


@pytest.mark.parametrize(("tool", "place"), [("aws", "s3://b/runs"), ("rclone", "store:b/runs")])
def test_a_tool_that_fails_refuses_the_launch(example: Example, tool: str, place: str) -> None:
    """By any exit code: a broken installation of the AWS CLI has 1. The disk stays as it is."""
    example.environ |= {"BUCKET": place}
    folder = example.folder / "new"
    for code in (1, 2, 3, 4, 127, 253, 255):
        with_program(example, tool, f"exit {code}")
        assert hook(example, "bucket_fetch.sh", checkpoint_dir=folder).returncode == 1
        assert not folder.exists()


@pytest.mark.parametrize("place", ["s3://b/runs", "store:b/runs"])
def test_nothing_is_fetched_where_nothing_is_wanted(example: Example, place: str) -> None:
    """Not for a run that begins from nothing, nor beneath the place of a missing file system."""
    example.environ |= {"BUCKET": place}
    said = example.folder / "said"
    for tool in ("aws", "rclone"):
        with_program(example, tool, f"echo called >>'{said}'")
    folder = example.folder / "new"
    begins = hook(example, "bucket_fetch.sh", checkpoint_dir=folder, from_nothing="1")
    assert (begins.returncode, begins.stdout + begins.stderr) == (0, "")
    refused = hook(example, "bucket_fetch.sh", checkpoint_dir=folder, unmounted="/mnt/data")
    assert refused.returncode == 1
    assert "nothing is mounted at /mnt/data" in refused.stdout
    assert not folder.exists()
    assert not said.exists()


def test_the_comment_of_a_slurm_job_says_how_the_run_is(example: Example) -> None:
    """By a `scontrol` that notes its words; tests/rigs/slurm has the real one."""
    said = example.folder / "said"
    with_program(example, "scontrol", f'printf "%s|" "$@" >>{said}; echo >>{said}')
    path = example.configure("slurm_comment")
    hooks = yaml.safe_load(path.read_text())["hooks"]
    # Outside of a job nothing is said; the supervisor itself must not take this one for a job.
    script = ["sh", "-c", "SLURM_JOB_ID=7 exec sh hooks/slurm_comment.sh"]
    for name, hook in hooks.items():
        hooks[name] = {**hook, "command": script} if isinstance(hook, dict) else script
    example.configure("slurm_comment", hooks=hooks)
    assert example.finish(example.start(path)) == 0
    lines = said.read_text().splitlines()
    assert all(line.startswith("update|JobId=7|Comment=slurm-comment: ") for line in lines)
    texts = [line.removesuffix("|").partition(": ")[2] for line in lines]
    assert texts[-1] == "finished"
    assert not example.entries("hook_failed")
    example.environ.pop("SLURM_JOB_ID", None)
    facts = {"SUPERVISOR_HOOK_EVENT": "finished", "SUPERVISOR_HOOK_RUN": "r"}
    script_path = str(EXAMPLES / "slurm_comment.sh")
    subprocess.run(["sh", script_path], env={**example.environ, **facts}, check=True)
    assert said.read_text().splitlines() == lines


def test_no_other_hook_writes_over_the_end_of_a_run(example: Example) -> None:
    """Not one that was late, nor one that comes later; after a hold a new attempt is told again."""
    said, begun_at = example.folder / "said", example.folder / "begun"
    gate = example.folder / "gate"
    wait = f"while [ ! -e '{gate}' ]; do sleep 0.02; done"
    with_program(
        example, "scontrol", f"touch '{begun_at}'; {wait}; printf '%s\\n' \"$3\" >>'{said}'"
    )
    example.environ |= {"SLURM_JOB_ID": "7"}

    def told(event: str, **facts: object) -> int:
        given = {"event": event, "run_dir": example.folder, "reason": "why", "failure": "hang"}
        return hook(example, "slurm_comment.sh", **given, **facts).returncode

    with ThreadPoolExecutor(3) as pool:
        proven = pool.submit(told, "checkpoint_proven", step=20, attempt=2)
        wait_until(begun_at.exists, 30)
        others = [pool.submit(told, name, attempt=2) for name in ("held", "attempt_ended")]
        gate.touch()
        assert [one.result() for one in (proven, *others)] == [0, 0, 0]
    assert said.read_text().splitlines()[-1] == "Comment=bucket: held: why"
    said.unlink()
    assert told("checkpoint_proven", step=20, attempt=2) == 0
    assert told("attempt_ended", attempt=2) == 0
    assert not said.exists()
    assert told("checkpoint_proven", step=30, attempt=3) == 0
    assert told("finished", attempt=3) == 0
    assert told("attempt_ended", attempt=3) == 0
    texts = ["saved at step 30", "finished"]
    assert said.read_text().splitlines() == [f"Comment=bucket: {text}" for text in texts]


class Service:
    """A server that keeps the requests that it gets: method, path, and key."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.got.append((self.command, self.path, self.headers.get("X-Api-Key")))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_GET = do_POST

            def log_message(self, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def service() -> Iterator[Service]:
    """The server, on a free port of this machine."""
    made = Service()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_a_finished_run_pauses_its_check(example: Example, service: Service) -> None:
    """Behind the last ping, which would wake the check up again."""
    example.environ |= {
        "HEALTHCHECKS_PING": f"{service.address}/ping/some-check",
        "HEALTHCHECKS_API": f"{service.address}/api/v3",
        "HEALTHCHECKS_CHECK": "some-check", "HEALTHCHECKS_KEY": "hunter2hunter2",
    }  # fmt: skip
    path = example.configure("healthchecks")
    assert example.finish(example.start(path)) == 0
    paths = [asked for _, asked, _ in service.got]
    assert "/ping/some-check" in paths[:-1]
    assert service.got[-1] == ("POST", "/api/v3/checks/some-check/pause", "hunter2hunter2")
    assert not example.entries("hook_failed")
    record = [path for path in example.paths.state_dir.rglob("*") if path.is_file()]
    assert not [path for path in record if b"hunter2" in path.read_bytes()]


def test_each_example_is_valid_and_has_its_scripts() -> None:
    """None names a script that is not beside it."""
    found = sorted(EXAMPLES.glob("*.yaml"))
    assert [path.stem for path in found] == ["bucket", "healthchecks", "slurm_comment"]
    for path in found:
        for hook in load_config(path).config.hooks.given.values():
            assert hook.command[0] == "sh"
            assert (EXAMPLES / Path(hook.command[1]).name).is_file()
