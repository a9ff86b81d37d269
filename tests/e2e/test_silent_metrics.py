"""A file server that is gone costs the metrics that are written there, and nothing else."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Supervised


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
        self.directory = run.folder / "prom"
        self.directory.mkdir()
        self._gone = run.folder / "gone"
        run.environ |= {
            "LD_PRELOAD": str(preload),
            "SILENT_DIRECTORY": str(self.directory),
            "SILENT_WHILE": str(self._gone),
        }

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
