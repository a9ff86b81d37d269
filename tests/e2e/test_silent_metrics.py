"""A file server that is gone costs the metrics that are written there, and nothing else.

The same for `check` and `clean`, which look at them.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from supervisor.cli import metrics_directory
from tests.e2e.conftest import Supervised
from tests.launcher.test_uninterruptible import DeadServer


@pytest.fixture(scope="module")
def preload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled calls that do not return while the server is gone."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("there is no C compiler; .ci/run brings one where it is root")
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("preload") / "silent_directory.so"
    source = Path(__file__).with_name("silent_directory.c")
    words = [compiler, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", str(source), "-ldl"]
    subprocess.run([*words, "-o", str(library)], check=True)
    return library


class FileServer:
    """A directory for metrics, on a server that can be gone."""

    def __init__(self, run: Supervised, preload: Path) -> None:
        # Not beside the run: what lies there is looked at, unless a file server is mounted on it.
        self.directory = run.folder / "mounted" / "prom"
        self.directory.mkdir(parents=True)
        self._gone = run.folder / "gone"
        self.environ = {
            "LD_PRELOAD": str(preload),
            "SILENT_DIRECTORY": str(self.directory),
            "SILENT_WHILE": str(self._gone),
        }
        # The run is registered there, so that no other test's `clean` lists its metrics.
        run.environ |= {**self.environ, "XDG_RUNTIME_DIR": str(run.folder)}

    def vanish(self) -> None:
        """From now on calls into the directory do not return."""
        self._gone.touch()

    def come_back(self) -> None:
        """Calls into the directory return."""
        self._gone.unlink()

    @property
    def files(self) -> list[Path]:
        """The metrics files."""
        return list(self.directory.glob("*.prom"))


@pytest.fixture
def server(run: Supervised, preload: Path) -> FileServer:
    """The server of a run."""
    return FileServer(run, preload)


def is_silent(run: Supervised) -> bool:
    """Whether `status` warns that the server does not answer."""
    wanted = "metrics cannot be written: the file system does not answer: "
    return wanted in json.dumps(run.status.get("warnings"))


def test_a_run_trains_and_ends_while_the_server_is_gone(
    run: Supervised, server: FileServer
) -> None:
    """A warning says so; the file comes once the server is back, and the end does not wait."""
    server.vanish()
    run.configure(metrics={"textfile": str(server.directory)}, hold=20)
    run.start()
    run.wait_step(20)
    run.wait(lambda: is_silent(run))
    assert server.files == []
    server.come_back()
    run.wait(lambda: server.files)
    run.wait(lambda: not is_silent(run))
    server.vanish()
    run.let_go()
    assert run.finish() == 0
    assert run.status["state"] == "completed"
    assert is_silent(run)


def test_check_and_clean_do_not_wait_for_the_server(run: Supervised, server: FileServer) -> None:
    """They name the directory; `clean` leaves the file alone, and removes it later."""
    run.configure(metrics={"textfile": str(server.directory)})
    assert run.run() == 0
    server.vanish()
    checked = " ".join(run.raw("check", str(run.config)).stdout.split())
    assert f"{server.directory} does not answer: no metrics will be written" in checked
    run_dir = str(run.run_dir)
    cleaned = run.raw("clean", "--yes", run_dir)
    assert cleaned.returncode == 0
    assert f"{server.directory} does not answer: the metrics there are left" in cleaned.stderr
    assert cleaned.stdout == "Dead runs left nothing in memory.\n"
    assert json.loads(run.raw("clean", "--json", "--yes", run_dir).stdout) == []
    assert len(server.files) == 1
    server.come_back()
    assert f"ok metrics {server.directory}" in " ".join(
        run.raw("check", str(run.config)).stdout.split()
    )
    assert "removed 1" in run.raw("clean", "--yes", run_dir).stdout
    assert server.files == []


def test_a_server_that_goes_before_a_removal(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The removal is an error, since whether it took place is not known."""
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    file = server.directory / "a.prom"
    file.touch()
    server.vanish()
    with pytest.raises(OSError, match="prom does not answer"):
        metrics_directory.remove(file)
    server.come_back()
    metrics_directory.remove(file)
    assert not file.exists()
    metrics_directory.remove(file)


@pytest.mark.root
def test_a_writer_that_no_signal_ends_does_not_keep_the_run_up(
    run: Supervised, tmp_path: Path
) -> None:
    """The child waits in the kernel on a file system whose server never answers."""
    dead = DeadServer(tmp_path / "dead")
    try:
        run.environ["XDG_RUNTIME_DIR"] = str(run.folder)
        run.configure(metrics={"textfile": str(dead.mount_point)}, hold=20)
        run.start()
        run.wait_step(20)
        run.wait(lambda: is_silent(run))
        assert dead.taken.is_set()
        run.let_go()
        assert run.finish() == 0
        assert run.status["state"] == "completed"
    finally:
        dead.give_up()
