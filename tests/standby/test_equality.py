"""A program sees no difference between a cold start and a parked one, except those named here."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standin import Parked, as_user, run_cold

PROBE = Path(__file__).with_name("probe.py")
PRELOADED = ["json", "logging", "decimal", "multiprocessing", "xml.dom.minidom", "email.message"]
SYSTEM_PYTHON = "/usr/bin/python3"
NOBODY = 65534

# Allowed differences, each with the reason why it cannot or need not be avoided.
ALLOWED = {
    "modules": "what was preloaded is in sys.modules; that is what it is for",
}


def flat(facts: Any, name: str = "") -> dict[str, Any]:
    """Flatten nested dictionaries, so that each difference has a name."""
    if not isinstance(facts, dict):
        return {name: facts}
    found: dict[str, Any] = {}
    for key, value in facts.items():
        found |= flat(value, f"{name}.{key}" if name else key)
    return found


def differences(cold: dict[str, Any], warm: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The facts that differ, by name."""
    one, other = flat(cold), flat(warm)
    return {
        name: (one.get(name), other.get(name))
        for name in one.keys() | other.keys()
        if one.get(name) != other.get(name) and name not in ALLOWED
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The probe as a script, in a folder, behind a link, as a module and as a package."""
    root = tmp_path / "project"
    (root / "sub").mkdir(parents=True)
    (root / "package").mkdir()
    (root / "elsewhere").mkdir()
    shutil.copy(PROBE, root / "script.py")
    shutil.copy(PROBE, root / "sub" / "script.py")
    shutil.copy(PROBE, root / "package" / "__main__.py")
    (root / "package" / "__init__.py").write_text("")
    (root / "sub" / "link.py").symlink_to(root / "elsewhere" / "target.py")
    shutil.copy(PROBE, root / "elsewhere" / "target.py")
    (root / "near.py").symlink_to("script.py")
    return root


def compare(
    words: list[str],
    project: Path,
    environ: dict[str, str],
    park: Callable[..., Parked],
    **options: Any,
) -> dict[str, tuple[Any, Any]]:
    """Run a command cold and warm, assert equal logs, and return what else differs."""
    facts, logs = {}, {}
    for way in ("cold", "warm"):
        out, log = project / f"{way}.json", project / f"{way}.log"
        attempt = {
            **environ,
            "SUPERVISOR_RUN_ID": "r-1",
            "SUPERVISOR_ATTEMPT": "12",
            "SUPERVISOR_PROBE_OUT": str(out),
        }
        argv = [*words, "--resume", "checkpoint-500"]
        if way == "cold":
            uid = options.get("uid")
            code = run_cold(
                [*([] if uid is None else as_user(uid)), *argv], attempt, cwd=project, log=log
            )
        else:
            parked = park(words, environ, cwd=project, preload=PRELOADED, **options)
            said = parked.hear()
            assert said["parked"]["left_out"] == [], said
            is_low = "BATCH" if "uid" in options else "IDLE"
            assert is_low in said["parked"]["priority"] or os.geteuid() != 0
            assert parked.go(log, argv=argv, environ=attempt) == {"going": True}
            code = parked.wait()
        logs[way] = log.read_text()
        assert code == 0, logs[way]
        facts[way] = json.loads(out.read_text().replace("warm.json", "cold.json"))
    assert logs["cold"] == logs["warm"]
    assert set(facts["cold"]["modules"]) <= set(facts["warm"]["modules"])
    return differences(facts["cold"], facts["warm"])


@pytest.mark.parametrize(
    "words",
    [
        ["script.py"],
        ["-u", "script.py"],
        ["-OO", "-X", "faulthandler", "-W", "ignore::ImportWarning", "./script.py"],
        ["-P", "sub/script.py"],
        ["sub/../sub/script.py", "one", "-x"],
        ["sub/link.py"],
        ["near.py"],
        ["-m", "package"],
        ["-um", "package.__main__", "-c"],
        ["-ms" + "cript"],
        ["-c", PROBE.read_text()],
        ["-Bc", PROBE.read_text(), "word"],
    ],
    ids=lambda words: " ".join(words)[:40],
)  # fmt: skip
def test_a_program_is_started_alike(
    words: list[str], project: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """A script, module, package or code sees the same as cold, with any options."""
    argv = [sys.executable, *words]
    assert compare(argv, project, {**environ, "PYTHONHASHSEED": "7"}, park) == {}


def test_an_absolute_script_is_started_alike(
    project: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """A script with its whole path sees the same as cold."""
    words = [sys.executable, str(project / "sub" / "script.py")]
    assert compare(words, project, {**environ, "PYTHONHASHSEED": "7"}, park) == {}


@pytest.mark.parametrize(
    "more",
    [
        {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        {"PYTHONPATH": "{project}/sub:relative", "PYTHONSAFEPATH": "1"},
        {"PYTHONIOENCODING": "latin-1:replace", "PYTHONWARNINGS": "default"},
        {"PYTHONFAULTHANDLER": "1", "PYTHONDEVMODE": "1", "LANG": "C", "LC_ALL": "C"},
        {"LANG": "C", "STRANGE": "\udcff=\n"},
        {"LONG": "x" * 60_000, "PYTHONUTF8": "0", "LC_ALL": "POSIX"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_an_environment_is_honoured_alike(
    more: dict[str, str], project: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """Variables that Python reads at its start have the same effect as cold."""
    env = {**environ, "PYTHONHASHSEED": "7"}
    env |= {name: value.format(project=project) for name, value in more.items()}
    found = compare([sys.executable, "script.py"], project, env, park)
    found.pop("process.no_traces_in_c", None) if "PYTHONPATH" in env else None
    assert found == {}


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists(SYSTEM_PYTHON), reason="no Python that nobody may read")
def test_an_unprivileged_program_is_started_alike(
    project: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """An unprivileged program gets its priority, /proc and the rest back."""
    for path in (project, *project.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o777)
    for parent in project.parents:
        if parent.owner() == "root" and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    words = [SYSTEM_PYTHON, "script.py"]
    found = compare(words, project, {**environ, "PYTHONHASHSEED": "7"}, park, uid=NOBODY)
    assert found == {}


def test_the_comparison_can_fail() -> None:
    """A difference anywhere is named."""
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2}) == {"a.b": (1, 3)}


def test_hash_seeds_differ(
    project: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """Without PYTHONHASHSEED each start has its own seed, as cold starts do."""
    found = compare([sys.executable, "script.py"], project, environ, park)
    assert found.keys() == {"python.hash"}
