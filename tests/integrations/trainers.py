"""The Pythons with the training libraries: of `make test-trainers`, or as TRAINERS_PYTHON says.

Tools of other families have a Python of their own (TOOLS_PYTHON): PyPI's torchvision, which
ultralytics brings along, cannot be imported beside a torch for CPUs, and transformers would try.
"""

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).with_name("scripts")
STARTUP = ROOT / "supervisor" / "integrations" / "startup"
_TRAINERS = ("TRAINERS_PYTHON", ".venv-trainers")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


_TOOLS = frozenset({"deepspeed", "orbax", "stable_baselines3", "ultralytics"})


@cache
def _has(python: str, library: str) -> bool:
    ask = f"import importlib.util as find; raise SystemExit(not find.find_spec('{library}'))"
    return (
        Path(python).exists() and subprocess.run([python, "-c", ask], check=False).returncode == 0
    )


def trainers_python(library: str) -> str:
    """The interpreter that has this library; the test is skipped if there is none."""
    name, place = ("TOOLS_PYTHON", ".venv-tools") if library in _TOOLS else _TRAINERS
    found = os.environ.get(name) or str(ROOT / place / "bin" / "python")
    if not _has(found, library):
        pytest.skip(f"{library} is not installed in {found}: `make test-trainers` installs it")
    return found
