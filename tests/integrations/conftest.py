"""A copy of the hook as a trainer's Python meets it: elsewhere, with an adapter and a library."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADAPTER = """
def patch(module):
    train = module.Trainer.train

    def adapted(self):
        return "adapted " + train(self)

    module.Trainer.train = adapted
"""
LIBRARY = """
class Trainer:
    def train(self):
        return "trained"
"""


class Installation:
    """`supervisor/worker` and `supervisor/integrations` in a folder that no Python looks into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "pipx" / "site-packages" / "supervisor"
        for name in ("worker", "integrations"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / "supervisor" / name, self.package / name, ignore=ignored)
        shutil.copy(ROOT / "supervisor" / "__init__.py", self.package)
        self.startup = self.package / "integrations" / "startup"
        self.adapt(ADAPTER)
        self.library = self.write("library/transformers/trainer.py", LIBRARY).parents[1]
        self.write("library/transformers/__init__.py", "")
        self.heartbeats = folder / "heartbeats"
        self.heartbeats.mkdir()
        (folder / "run" / ".supervisor").mkdir(parents=True)

    def adapt(self, code: str, name: str = "huggingface") -> None:
        """Put an adapter into the installation."""
        (self.package / "integrations" / f"{name}.py").write_text(textwrap.dedent(code))

    def write(self, name: str, code: str) -> Path:
        """Write a file of the user's."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))
        return path

    def environment(self, *entries: Path, hook: bool = True, **more: str) -> dict[str, str]:
        """The environment of a supervised command, or without a hook of a bare one."""
        kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
        found = {name: os.environ[name] for name in kept if name in os.environ}
        folders = [self.startup, *entries] if hook else list(entries)
        if folders:
            found["PYTHONPATH"] = os.pathsep.join(map(str, folders))
        if hook:
            found |= {
                "SUPERVISOR_HEARTBEAT": str(self.heartbeats),
                "SUPERVISOR_RUN_DIR": str(self.folder / "run"),
                "SUPERVISOR_INTEGRATE": "auto",
                "SUPERVISOR_ATTEMPT": "1",
            }
        return {**found, "PYTHONDONTWRITEBYTECODE": "1", **more}

    def run(
        self,
        *words: str,
        python: str = sys.executable,
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run an interpreter to its end, by default as the supervised command."""
        return subprocess.run(
            [python, *words], env=environment or self.environment(self.library),
            cwd=self.folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def says(self, code: str, *words: str, **how: object) -> str:
        """What a script prints; it must print no error and end with 0."""
        done = self.run(*words, "-c", textwrap.dedent(code), **how)  # type: ignore[arg-type]
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """One installation with an adapter for a library named transformers."""
    return Installation(tmp_path)


def pythons() -> list[str]:
    """One interpreter of each version on this machine, Python 2 too."""
    names = ["python2.7", *(f"python3.{minor}" for minor in range(6, 20)), "pypy3"]
    found = [path for name in names if (path := shutil.which(name))]
    found += map(str, sorted(Path.home().glob(".pyenv/versions/*/bin/python")))
    ask = "import sys, platform; print(platform.python_implementation(), sys.version_info[:2])"
    by_version: dict[str, str] = {}
    for path in (sys.executable, *found):
        said = subprocess.run([path, "-c", ask], capture_output=True, text=True, check=False)
        if said.returncode == 0:
            by_version.setdefault(said.stdout.strip(), path)
    return list(by_version.values())


def version_of(python: str) -> tuple[int, ...]:
    """The version of an interpreter, as `(3, 11)`."""
    ask = "import sys; print('%d %d' % sys.version_info[:2])"
    said = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    return tuple(map(int, said.stdout.split()))


NEW_ENOUGH = [path for path in pythons() if version_of(path) >= (3, 9) and "pypy" not in path]
