"""Pickles that run code: no reader of a checkpoint, and no `load`, runs any of it."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from supervisor.checkpoint.validate import validate
from supervisor.memory.persist import persist
from supervisor.memory.snapshot_proof import vet
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, write_files, write_snapshot
from tests.checkpoint.damage import damage
from tests.checkpoint.fuzzing import SCALE, SEED, TIME_LIMIT_S
from tests.checkpoint.hostile import checkpoints, payloads

pytestmark = pytest.mark.timeout(TIME_LIMIT_S)
ROOT = Path(__file__).resolve().parents[2]
# Events of sys.addaudithook that no reader of files should cause.
FORBIDDEN = ("pickle.find_class", "os.system", "os.exec", "os.fork", "os.posix_spawn",
             "subprocess.Popen", "marshal.loads", "ctypes.dlopen")  # fmt: skip
_seen: list[str] | None = None


def _listen(event: str, _: tuple[object, ...]) -> None:
    if _seen is not None and event in FORBIDDEN:
        _seen.append(event)


sys.addaudithook(_listen)


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """The forbidden events in this process from here on."""
    global _seen
    _seen = []
    yield _seen
    _seen = None


def test_the_payloads_do_run(tmp_path: Path) -> None:
    """Unpickled without care, the payloads run their code, so the other tests prove something."""
    canary = tmp_path / "canary"
    ran = set()
    for name, payload in payloads(canary):
        code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
        if name in ("os.system", "eval", "exec by stack", "open by instance", "a call deep inside"):
            subprocess.run([sys.executable, "-c", code], input=payload, check=False, timeout=30)
            assert canary.exists(), name
            canary.unlink()
            ran.add(name)
    assert len(ran) == 5


def test_nothing_runs_when_it_is_looked_at(
    tmp_path: Path, torch_files: Files, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No payload runs when validated, surveyed, vetted in a slot or persisted."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # hundreds of checkpoints, and no power cut
    canary = tmp_path / "canary"
    for index, (name, files) in enumerate(checkpoints(canary, torch_files["model.pt"])):
        folder = write_files(tmp_path / str(index) / "checkpoint-5", files)
        validate(folder)
        for path in folder.iterdir():
            validate(path)
        survey(SurveyRequest(folder.parent, existing="use", quiet=True))
        content = {key: data for key, data in files.items() if key.endswith(".pt")}
        out = tmp_path / str(index) / "out"
        whole = write_snapshot(tmp_path / str(index) / "slots", out, content, 5)
        verdict = vet(whole)
        assert verdict is not None
        try:
            assert validate(persist(whole).path).valid
        except (OSError, ValueError):
            assert list(out.iterdir()) == []
        assert seen == [], name
        assert not canary.exists(), name


@pytest.mark.parametrize("part", ["hostile", "damaged"])
def test_load_runs_nothing_and_crashes_nothing(
    tmp_path: Path, torch_files: Files, part: str
) -> None:
    """A process that loads all cases ends normally within its memory, and runs no payload."""
    cases = tmp_path / "cases"
    canary = tmp_path / "canary"
    if part == "hostile":
        for index, (_, files) in enumerate(checkpoints(canary, torch_files["model.pt"])):
            write_files(cases / f"{index:05}", files)
    else:
        good = {name: torch_files[name] for name in ("model.pt", "optimizer.pt", "legacy.pt")}
        for seed in range(SEED, SEED + 300 * SCALE):
            files = {**good, "training_state.json": b'{"global_step": 5}'}
            damage(Random(seed), write_files(cases / f"{seed:05}", files))
    done = subprocess.run(
        [sys.executable, "-m", "tests.checkpoint.loads", str(cases)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout)
    assert answer["cases"] == len(list(cases.iterdir()))
    assert not canary.exists(), answer
    assert answer["forbidden"] == []
    if part == "hostile":
        assert answer["errors"].get(pickle.UnpicklingError.__name__, 0) > 100
    print(answer)
