"""A run with a hook `before_launch` whose disk is not mounted: it never trains beside that disk."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Supervised

pytestmark = pytest.mark.root


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A mount point with a disk on it."""
    place = tmp_path / "scratch"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    yield place
    while place.is_mount():
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_what_a_hook_brings_to_the_bare_mount_point_is_not_trained_on(
    run: Supervised, scratch: Path, tmp_path: Path
) -> None:
    """Also over another start; with the disk back, the run goes on from what is on that."""
    out, copy, facts = scratch / "outputs", tmp_path / "copy", tmp_path / "facts"
    out.mkdir()
    places = {"checkpoints": {"directory": str(out)}}
    proven = f"mkdir -p {copy} && cp -a $SUPERVISOR_HOOK_CHECKPOINT {copy}/"
    before = f"echo $SUPERVISOR_HOOK_UNMOUNTED >> {facts}; mkdir -p {out}; cp -a {copy}/. {out}/"
    hooks = {"checkpoint_proven": ["sh", "-c", proven]}
    run.configure(hooks=hooks, hold=25, env={"OUTPUT": out}, **places)
    process = run.start()
    run.wait_step(25)
    run.wait(lambda: (copy / "checkpoint-20").exists())
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert (out / "checkpoint-25").exists()
    held = tmp_path / "held"
    held.mkdir()
    subprocess.run(["mount", "--bind", str(scratch), str(held)], check=True)
    try:
        subprocess.run(["umount", str(scratch)], check=True)
        hooks = {"before_launch": ["sh", "-c", before]}
        run.configure(hooks=hooks, env={"OUTPUT": out}, **places)
        for start in (1, 2):
            process = run.start()
            run.wait(lambda count=start: facts.exists() and facts.read_text().count("\n") == count)
            run.wait(lambda: run.status.get("state") == "waiting")
            assert run.status["failure"] == "checkpoints_missing"
            assert f"nothing is mounted on {scratch}" in run.status["reason"]
            assert (out / "checkpoint-20").exists()
            assert facts.read_text().split() == [str(scratch)] * start
            if start == 1:
                process.send_signal(signal.SIGTERM)
                assert run.finish() == 75
                checked = " ".join(run.raw("check", str(run.config)).stdout.split())
                assert f"nothing is mounted on {scratch}, which held them" in checked
                assert "the run resumes from" not in checked
        subprocess.run(["mount", "--bind", str(held), str(scratch)], check=True)
        assert run.finish() == 0
    finally:
        subprocess.run(["umount", "-l", str(held)], check=True)
    sources = [entry["checkpoint"] for entry in run.entries("attempt_started")]
    assert [source and source["step"] for source in sources] == [None, 25]
    assert facts.read_text().splitlines()[-1] == ""
