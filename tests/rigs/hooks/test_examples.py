"""The example configurations of `configs/hooks/`: each does what docs/hooks.md says of it."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
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


def stopped_with_a_copy(example: Example, bucket: Bucket) -> Path:
    """A run that was stopped at step 25 and is in the bucket; its configuration."""
    path = begun(example, HOLD=25)
    process = example.start(path)
    wait_until(lambda: "checkpoint-20.complete" in bucket.names(), 120, story=example.log.read_text)
    process.terminate()
    assert example.finish(process) == 75
    assert "checkpoint-25.complete" in bucket.names()
    return path


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
    stopped_with_a_copy(example, bucket)
    assert not example.entries("hook_failed")
    lose_the_disk(example)
    path = begun(example)
    assert "before_launch" in example.check(path)
    assert example.finish(example.start(path)) == 0
    assert resumed_from(example) == [25]
    assert "fetched checkpoint-25" in example.hook_log("before_launch")
    weight = (example.folder / "outputs" / "checkpoint-40" / "model.pt").read_text()
    assert float(weight) == uninterrupted()
    assert "checkpoint-40.complete" in bucket.names()
    assert not example.entries("hook_failed")
    assert "hunter2" not in example.log.read_text()


def test_a_copy_without_its_marker_or_a_file_is_not_taken(example: Example, bucket: Bucket) -> None:
    """The newest that is whole is taken; if none is, the launch is refused."""
    stopped_with_a_copy(example, bucket)
    bucket.remove("checkpoint-25.complete")
    bucket.remove("checkpoint-20.files/checkpoint-20/model.pt")
    lose_the_disk(example)
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
    assert "checkpoint-40.complete" in bucket.names()


def pushed(example: Example, path: Path) -> None:
    """Run the hook checkpoint_proven by itself."""
    facts = {"SUPERVISOR_HOOK_RUN": "bucket", "SUPERVISOR_HOOK_CHECKPOINT": str(path)}
    script = str(EXAMPLES / "bucket_push.sh")
    subprocess.run(["sh", script], env={**example.environ, **facts}, check=True)


def fetched(example: Example, folder: Path) -> None:
    """Run the hook before_launch by itself."""
    facts = {
        "SUPERVISOR_HOOK_RUN": "bucket", "SUPERVISOR_HOOK_NEWEST_CHECKPOINT": "",
        "SUPERVISOR_HOOK_CHECKPOINT_DIR": str(folder),
    }  # fmt: skip
    script = str(EXAMPLES / "bucket_fetch.sh")
    subprocess.run(["sh", script], env={**example.environ, **facts}, check=True)


def test_another_checkpoint_of_the_same_name_replaces_the_copy(
    example: Example, bucket: Bucket
) -> None:
    """As after a rollback; the same again changes nothing. A file is copied as well as a folder."""
    checkpoint, file = example.folder / "checkpoint-5", example.folder / "with space.pt"
    checkpoint.mkdir()
    (checkpoint / "model.pt").write_text("first")
    (checkpoint / "gone.pt").write_text("only in the first")
    file.write_text("a file")
    pushed(example, checkpoint)
    pushed(example, checkpoint)
    (checkpoint / "gone.pt").unlink()
    (checkpoint / "model.pt").write_text("other")
    pushed(example, checkpoint)
    names = [name for name in bucket.names() if name.startswith("checkpoint-5")]
    assert names == ["checkpoint-5.complete", "checkpoint-5.files/checkpoint-5/model.pt"]
    fetched(example, example.folder / "new")
    assert (example.folder / "new" / "checkpoint-5" / "model.pt").read_text() == "other"
    bucket.remove("checkpoint-5.complete")
    single = example.folder / "ckpt.pt"
    file.rename(single)
    pushed(example, single)
    fetched(example, example.folder / "newer")
    assert (example.folder / "newer" / "ckpt.pt").read_text() == "a file"


def test_the_comment_of_a_slurm_job_says_how_the_run_is(example: Example) -> None:
    """By a `scontrol` that notes its words; tests/rigs/slurm has the real one."""
    said = example.folder / "said"
    program = example.folder / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >>{said}; echo >>{said}\n')
    program.chmod(0o755)
    example.environ |= {"PATH": f"{program.parent}:{example.environ['PATH']}"}
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
    assert {"saved at step 40", "attempt 1 ended: completed", "finished"} <= set(texts)
    assert not example.entries("hook_failed")
    example.environ.pop("SLURM_JOB_ID", None)
    facts = {"SUPERVISOR_HOOK_EVENT": "finished", "SUPERVISOR_HOOK_RUN": "r"}
    script_path = str(EXAMPLES / "slurm_comment.sh")
    subprocess.run(["sh", script_path], env={**example.environ, **facts}, check=True)
    assert said.read_text().splitlines() == lines


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
