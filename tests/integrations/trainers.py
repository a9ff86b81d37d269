"""The Python with the training libraries: of `make test-trainers`, or that of TRAINERS_PYTHON."""

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).with_name("scripts")
STARTUP = ROOT / "supervisor" / "integrations" / "startup"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@cache
def _has(python: str, library: str) -> bool:
    ask = f"import importlib.util as find; raise SystemExit(not find.find_spec('{library}'))"
    return (
        Path(python).exists() and subprocess.run([python, "-c", ask], check=False).returncode == 0
    )


def trainers_python(library: str) -> str:
    """The interpreter that has this library; the test is skipped if there is none."""
    found = os.environ.get("TRAINERS_PYTHON") or str(ROOT / ".venv-trainers" / "bin" / "python")
    if not _has(found, library):
        pytest.skip(f"{library} is not installed in {found}: `make test-trainers` installs it")
    return found
