"""What is preloaded, when a parked interpreter gives up, and that it ends with its launcher."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from standin import Ended, Parked

import supervisor
from supervisor.standby import digests, start
from supervisor.worker.imports import observations, recorder

Park = Callable[..., Parked]


@pytest.fixture
def site(tmp_path: Path, environ: dict[str, str]) -> Path:
    """A folder of installed packages that this test may change: the user's own, in ~/.local."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = tmp_path / ".local" / "lib" / version / "site-packages"
    folder.mkdir(parents=True)
    return folder


def python() -> str:
    """An interpreter with user site-packages (a venv has none)."""
    return os.path.join(sys.base_prefix, "bin", "python3")


def record_of(path: Path, modules: dict[str, Path], **environment: str | None) -> Path:
    """Write a record for `python()`, as the last attempt would have left it."""
    code = "import sys, json; print(json.dumps([sys.version, sys.prefix]))"
    version, prefix = json.loads(subprocess.check_output([python(), "-c", code]))
    lines = "\n".join(f"{name}\t{file}" for name, file in modules.items())
    found = {
        "format": recorder.FORMAT,
        "python": version,
        "prefix": prefix,
        "modules": lines,
    }
    path.write_text(json.dumps(found))
    seen = {
        "format": observations.FORMAT,
        "python": version,
        "prefix": prefix,
        "attempt": "1",
        "changes": [],
        "environment": environment,
        "late_environment": {},
        "besides": [],
        "packages": ["heavy"],
        "spoiled": None,
    }
    path.with_name(path.name + observations.SUFFIX).write_text(json.dumps(seen))
    return path


def script(folder: Path, text: str = "print('ran')") -> list[str]:
    """Write a program of one line, and return its command."""
    (folder / "train.py").write_text(text)
    return [python(), "train.py"]


def test_the_record_is_preloaded_without_own_files(tmp_path: Path, site: Path, park: Park) -> None:
    """Installed modules of the record are imported in its order, the program's own are not."""
    (site / "heavy.py").write_text("print('heavy at import')")
    (site / "gone.py").write_text("raise OSError('no such device')")
    (tmp_path / "own.py").write_text("print('own at import')")
    files = {"heavy": site / "heavy.py", "gone": site / "gone.py", "own": tmp_path / "own.py"}
    record = record_of(tmp_path / "record", files)
    text = "import sys\nprint('heavy' in sys.modules, 'own' in sys.modules)\nimport own"
    parked = park(script(tmp_path, text), record=record)
    assert parked.hear()["parked"]["left_out"] == [["gone", "OSError: no such device"]]
    assert parked.go(tmp_path / "log") == {"going": True}
    assert parked.wait() == 0
    assert (tmp_path / "log").read_text() == "heavy at import\nTrue False\nown at import\n"


@pytest.mark.parametrize("way", ["PYTHONPATH", ".pth"])
def test_what_attach_needs_is_preloaded_wherever_it_lies(
    way: str, tmp_path: Path, site: Path, environ: dict[str, str], park: Park
) -> None:
    """This package does not count as the user's program, even as an editable install beside it."""
    root = Path(supervisor.__file__).parents[1]
    if way == "PYTHONPATH":
        environ["PYTHONPATH"] = str(root)
    else:
        (site / "ours.pth").write_text(f"{root}\n")
    files = {"supervisor.worker": root / "supervisor" / "worker" / "__init__.py"}
    record = record_of(tmp_path / "record", files)
    text = "import sys; print('supervisor.worker' in sys.modules, 'train' in sys.modules)"
    parked = park(script(tmp_path, text), record=record)
    assert parked.hear()["parked"]["left_out"] == []
    assert parked.go(tmp_path / "log") == {"going": True}
    assert parked.wait() == 0
    assert (tmp_path / "log").read_text() == "True False\n"


def test_a_changed_file_is_refused(tmp_path: Path, site: Path, park: Park) -> None:
    """A package that was corrected since is never run as it was."""
    (site / "heavy.py").write_text("print('old')")
    os.utime(site / "heavy.py", (1, 1))
    parked = park(script(tmp_path), preload=["heavy"])
    assert parked.hear()["parked"]["left_out"] == []
    (site / "heavy.py").write_text("print('new')")
    os.utime(site / "heavy.py", (1, 2))
    assert parked.go(tmp_path / "log") == {"refused": f"{site / 'heavy.py'} has changed"}
    assert parked.wait() == 0
    assert not (tmp_path / "log").exists()


def test_a_new_package_is_refused(tmp_path: Path, site: Path, park: Park) -> None:
    """A package installed since may have changed what the others import."""
    parked = park(script(tmp_path), preload=["json"])
    parked.hear()
    (site / "optional.py").write_text("")
    assert parked.go(tmp_path / "log") == {"refused": f"{site} has changed"}


def test_the_look_at_files_may_come_first(tmp_path: Path, site: Path, park: Park) -> None:
    """A launcher that knows of a launch a moment before may have the files checked then."""
    (site / "heavy.py").write_text("")
    parked = park(script(tmp_path), preload=["heavy"])
    parked.hear()
    parked.say(start.verify())
    assert parked.hear() == {"verified": True}
    (site / "heavy.py").write_text("changed = 1")
    os.utime(site / "heavy.py", (1, 1))
    refused = park(script(tmp_path), preload=["json"])
    refused.hear()
    (site / "other.py").write_text("")
    refused.say(start.verify())
    assert refused.hear() == {"refused": f"{site} has changed"}


def test_what_the_program_sets_is_refused(tmp_path: Path, site: Path, park: Park) -> None:
    """A variable that the program sets is refused, unless its imports set it as well."""
    (site / "setting.py").write_text("import os\nos.environ['BY_IMPORT'] = '1'")
    digest = digests.digest("1")
    files = {"setting": site / "setting.py"}
    record = record_of(tmp_path / "one", files, BY_IMPORT=digest)
    parked = park(script(tmp_path, "import os; print(os.environ['BY_IMPORT'])"), record=record)
    assert "parked" in parked.hear()
    assert parked.go(tmp_path / "log") == {"going": True}
    assert parked.wait() == 0
    assert (tmp_path / "log").read_text() == "1\n"
    record = record_of(tmp_path / "two", files, BY_IMPORT=digest, MINE=digest)
    reason = "the program sets MINE itself before its imports"
    assert park(script(tmp_path), record=record).hear() == {"refused": reason}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"OMP_NUM_THREADS": "8"}, "OMP_NUM_THREADS has changed in the environment"),
        ({"NEW": ""}, "NEW has changed in the environment"),
    ],
)
def test_a_changed_environment_is_refused(
    change: dict[str, str], reason: str, tmp_path: Path, environ: dict[str, str], park: Park
) -> None:
    """Any variable that changed since the imports is refused, except the supervisor's own."""
    parked = park(script(tmp_path), preload=["json"])
    parked.hear()
    assert parked.go(tmp_path / "log", environ={**environ, **change}) == {"refused": reason}


def test_another_command_or_directory_is_refused(tmp_path: Path, park: Park) -> None:
    """Other interpreter options, another Python or another directory are refused."""
    other = [python(), "-u", "train.py"], [sys.executable, "train.py"], ["bash", "train.sh"]
    reasons = "the command has changed", "the command uses another", "bash is not Python"
    for argv, reason in zip(other, reasons, strict=True):
        parked = park(script(tmp_path), preload=["json"])
        parked.hear()
        assert parked.go(tmp_path / "log", argv=argv)["refused"].startswith(reason)
    parked = park(script(tmp_path), preload=["json"])
    parked.hear()
    (tmp_path / "sub").mkdir()
    refused = parked.go(tmp_path / "log", cwd=tmp_path / "sub")
    assert refused == {"refused": "the working directory has changed"}


def test_a_file_that_shadows_a_preloaded_module_is_refused(tmp_path: Path, park: Park) -> None:
    """Cold, `import decimal` would find the file beside the script."""
    (tmp_path / "decimal").mkdir()
    parked = park(script(tmp_path), preload=["decimal"])
    parked.hear()
    (tmp_path / "decimal" / "__init__.py").write_text("")
    reason = f"{tmp_path / 'decimal'} would be imported instead of a preloaded module"
    assert parked.go(tmp_path / "log") == {"refused": reason}


def test_installed_packages_that_import_own_files_are_refused(
    tmp_path: Path, site: Path, environ: dict[str, str], park: Park
) -> None:
    """An editable install that an installed package imports is not run before go, either."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text("")
    (site / "heavy.py").write_text(
        f"import sys\nsys.path.append({str(tmp_path / 'own')!r})\nimport mine"
    )
    reason = f"an installed package imports your own {tmp_path / 'own' / 'mine.py'}"
    assert park(script(tmp_path), preload=["heavy"]).hear() == {"refused": reason}


@pytest.mark.root
def test_an_open_device_file_is_refused(tmp_path: Path, site: Path, park: Park) -> None:
    """A parked interpreter must not hold anything of an accelerator before go."""
    device = Path("/dev/nvidia-parked-test")
    os.mknod(device, 0o600 | 0o020000, os.makedev(1, 3))
    try:
        (site / "driver.py").write_text(f"held = open({str(device)!r})")
        parked = park(script(tmp_path), preload=["driver"])
        assert parked.hear() == {"refused": f"its imports open {device}"}
    finally:
        device.unlink()


def test_it_ends_with_the_launcher(tmp_path: Path, site: Path, park: Park) -> None:
    """The end of the control socket ends it, even if an import has taken SIGTERM."""
    (site / "stubborn.py").write_text(
        "import signal\nsignal.signal(signal.SIGTERM, lambda *a: None)"
    )
    parked = park(script(tmp_path), preload=["stubborn"])
    parked.hear()
    os.kill(parked.pid, signal.SIGTERM)
    parked.say(start.verify())
    assert parked.hear() == {"verified": True}
    parked.close()
    assert parked.wait() == 0


def test_a_signal_ends_it(tmp_path: Path, park: Park) -> None:
    """SIGTERM to the whole job ends a parked interpreter at once."""
    parked = park(script(tmp_path), preload=["json"])
    parked.hear()
    os.kill(parked.pid, signal.SIGTERM)
    assert parked.wait() == -signal.SIGTERM


def test_no_second_trainer_without_the_hook(
    tmp_path: Path, environ: dict[str, str], park: Park
) -> None:
    """A wrapper that hides the hook runs a program that does not exist, never the user's."""
    wrapper = tmp_path / "python3"
    wrapper.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {python()} "$@"\n')
    wrapper.chmod(0o755)
    (tmp_path / "train.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    for words in (["train.py"], ["-m", "train"], ["-c", "import train"]):
        parked = park([str(wrapper), *words], preload=["json"])
        with pytest.raises(Ended):
            parked.hear()
        assert parked.wait() != 0
    assert not (tmp_path / "ran").exists()


def test_a_wrapper_that_stays_is_refused(tmp_path: Path, park: Park) -> None:
    """The launcher's pid would be the wrapper's, not the interpreter's."""
    wrapper = tmp_path / "python3"
    wrapper.write_text(f'#!/bin/sh\n{python()} "$@"\nexit $?\n')
    wrapper.chmod(0o755)
    (tmp_path / "train.py").write_text("")
    parked = park([str(wrapper), "train.py"], preload=["json"])
    reason = "its parent process is not the launcher"
    assert parked.hear() == {"refused": reason}


def test_a_wrapper_is_become(tmp_path: Path, environ: dict[str, str], park: Park) -> None:
    """Behind a shell wrapper (pyenv's shims) that sets a variable, the program runs as cold."""
    wrapper = tmp_path / "python3"
    helper = f"{python()} -c 'print(1)' > {tmp_path}/helped"
    wrapper.write_text(f'#!/bin/sh\n{helper}\nexport ADDED=1\nexec {python()} "$@"\n')
    wrapper.chmod(0o755)
    text = "import os, sys; print(os.environ['ADDED'], sys.argv, 'PYTHONPATH' in os.environ)"
    (tmp_path / "train.py").write_text(text)
    parked = park([str(wrapper), "train.py"], preload=["json"])
    parked.hear()
    assert parked.go(tmp_path / "log") == {"going": True}
    assert parked.wait() == 0
    assert (tmp_path / "log").read_text() == "1 ['train.py'] False\n"
    assert (tmp_path / "helped").read_text() == "1\n"


def test_customizations_of_site_still_run(tmp_path: Path, site: Path, park: Park) -> None:
    """The user's sitecustomize and usercustomize run once, before the program."""
    (site / "usercustomize.py").write_text("print('usercustomize')")
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text("import sys; sys.mark = 'set'")
    text = "import sys, sitecustomize; print(sys.mark, sitecustomize.__file__)"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "hooks")}
    parked = park(script(tmp_path, text), env, preload=["json"])
    assert "parked" in parked.hear()
    assert parked.go(tmp_path / "log") == {"going": True}
    assert parked.wait() == 0
    path = tmp_path / "hooks" / "sitecustomize.py"
    assert (tmp_path / "log").read_text() == f"usercustomize\nset {path}\n"


def test_without_a_log_the_output_stays(tmp_path: Path, park: Park) -> None:
    """Without a log, the program writes to the parked interpreter's own output."""
    parked = park(script(tmp_path), preload=["json"])
    parked.hear()
    assert parked.go(None) == {"going": True}
    assert parked.wait() == 0
    assert (tmp_path / "start.log").read_text() == "ran\n"


def test_a_log_that_cannot_be_opened_is_refused(tmp_path: Path, park: Park) -> None:
    """A go is refused as long as anything can fail."""
    parked = park(script(tmp_path), preload=["json"])
    parked.hear()
    assert "No such file" in parked.go(tmp_path / "none" / "log")["refused"]


def test_it_is_the_first_to_go_when_memory_is_short(tmp_path: Path, park: Park) -> None:
    """Until go the kernel kills it before the trainer (oom_score_adj); its priority is back."""
    parked = park(script(tmp_path, "input()"), preload=["json"])
    parked.hear()
    assert Path(f"/proc/{parked.pid}/oom_score_adj").read_text() == "1000\n"
    assert os.sched_getscheduler(parked.pid) == os.SCHED_OTHER


def test_no_mark_of_a_run_before_go(tmp_path: Path, environ: dict[str, str], park: Park) -> None:
    """A search for the attempt's leftovers finds it only after go."""
    own = {"SUPERVISOR_RUN_ID": "r-7", "SUPERVISOR_ATTEMPT": "2"}
    parked = park(
        script(tmp_path, "import time; time.sleep(60)"), {**environ, **own}, preload=["json"]
    )
    parked.hear()
    shown = Path(f"/proc/{parked.pid}/environ")
    assert b"SUPERVISOR_RUN_ID" not in shown.read_bytes()
    assert parked.go(tmp_path / "log") == {"going": True}
    assert {b"SUPERVISOR_RUN_ID=r-7", b"SUPERVISOR_ATTEMPT=2"} <= set(
        shown.read_bytes().split(b"\0")
    )
