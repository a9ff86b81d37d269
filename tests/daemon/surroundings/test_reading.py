"""What the child reads: packages, interpreters, scripts, commits, driver, variables, the record."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.daemon.look.surroundings import child
from supervisor.daemon.look.surroundings.interpreter import (
    of_command,
    of_process,
    training_process,
)
from supervisor.daemon.look.surroundings.machine import driver_version
from supervisor.daemon.look.surroundings.packages import installed, read_name
from supervisor.daemon.look.surroundings.program import commit_of, files_of
from supervisor.daemon.look.surroundings.record import from_json, to_json
from supervisor.daemon.look.surroundings.variables import MASK, chosen, masked
from supervisor.worker.adapters import STARTUP
from tests.daemon.surroundings.test_comparing import GOOD

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("torch-2.6.0+cu124.dist-info", ("torch", "2.6.0+cu124")),
        ("Flash_Attn-2.5.8.dist-info", ("flash-attn", "2.5.8")),
        ("zope.interface-7.0.dist-info", ("zope-interface", "7.0")),
        ("PyYAML-6.0-py3.12.egg-info", ("pyyaml", "6.0")),
        ("apex-0.1-py3.12-linux-x86_64.egg-info", ("apex", "0.1")),
        ("mine.egg-info", None),
        ("~orch-2.6.0.dist-info", None),
        ("torch", None),
        ("torch.py", None),
        (".dist-info", None),
    ],
)
def test_names_of_metadata(name: str, read: tuple[str, str] | None) -> None:
    """As pip, setuptools and Debian name them."""
    assert read_name(name) == read


def test_installed_packages(tmp_path: Path) -> None:
    """The first folder counts; a folder that is not there is passed over; none: not known."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, names in ((one, ["a-1", "b-1", "b-2"]), (other, ["a-9", "c-3"])):
        for name in names:
            (folder / f"{name}.dist-info").mkdir(parents=True)
    found = installed([str(one), str(tmp_path / "none"), str(other)])
    assert found == {"a": "1", "b": "1 and 2", "c": "3"}
    assert installed([str(tmp_path / "none")]) is None


def make_venv(folder: Path, *, settings: str = "") -> Path:
    """A virtual environment by hand; returns its Python."""
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.symlink_to(os.path.realpath(sys.executable))
    home = os.path.dirname(os.path.realpath(sys.executable))
    (folder / "pyvenv.cfg").write_text(f"home = {home}\nversion = 3.12.9\n{settings}")
    packages = folder / "lib" / "python3.12" / "site-packages"
    (packages / "torch-2.6.0.dist-info").mkdir(parents=True)
    (folder / "lib64").symlink_to("lib")
    return python


def test_the_python_of_a_command(tmp_path: Path) -> None:
    """By path, by PATH, and by the first line of a script; each folder once."""
    python = make_venv(tmp_path / "venv")
    packages = str(tmp_path / "venv" / "lib" / "python3.12" / "site-packages")
    tool = tmp_path / "venv" / "bin" / "torchrun"
    tool.write_text(f"#!{python}\nimport sys\n")
    tool.chmod(0o755)
    environ = {"PATH": str(python.parent)}
    for command in ([str(python), "t.py"], ["python", "t.py"], ["torchrun", "t.py"]):
        found = of_command(command, environ)
        assert found is not None, command
        assert (found.version, found.folders) == ("3.12.9", (packages,))
    for command in (["bash", "t.sh"], ["no-such-program"], []):
        assert of_command(command, {"PATH": f"{python.parent}:/bin"}) is None


def test_a_fifo_as_settings(tmp_path: Path) -> None:
    """To open it would take for ever: it counts as not there."""
    python = make_venv(tmp_path / "venv")
    settings = tmp_path / "venv" / "pyvenv.cfg"
    settings.unlink()
    os.mkfifo(settings)
    found = of_command([str(python)], {})
    assert found is not None
    assert found.version != "3.12.9"


def test_folders_of_the_system_and_of_pythonpath(tmp_path: Path) -> None:
    """PYTHONPATH comes first, without our own folder; the system's only where it is said so."""
    system = tmp_path / "usr"
    (system / "bin").mkdir(parents=True)
    debian = system / "lib" / "python3" / "dist-packages"
    local = system / "local" / "lib" / "python3.12" / "dist-packages"
    other = system / "lib" / "python3.9" / "site-packages"
    for folder in (debian, local, other):
        folder.mkdir(parents=True)
    given = tmp_path / "given"
    given.mkdir()
    settings = "include-system-site-packages = true\n"
    python = make_venv(tmp_path / "venv", settings=settings)
    text = (tmp_path / "venv" / "pyvenv.cfg").read_text()
    home = os.path.dirname(os.path.realpath(sys.executable))
    (tmp_path / "venv" / "pyvenv.cfg").write_text(text.replace(home, str(system / "bin")))
    environ = {"PATH": "", "PYTHONPATH": f"{STARTUP}:{given}:{tmp_path}/none"}
    found = of_command([str(python)], environ)
    own = tmp_path / "venv" / "lib" / "python3.12" / "site-packages"
    assert found is not None
    assert found.folders == (str(given), str(own), str(local), str(debian))


def test_the_python_of_a_process(tmp_path: Path) -> None:
    """Found below a shell, by the run's mark; its environment by the word that started it."""
    python = make_venv(tmp_path / "venv")
    code = "print(1, flush=True); import time; time.sleep(60)"
    line = f"cd {tmp_path}; venv/bin/python -S -c '{code}'; :"
    process = subprocess.Popen(
        ["/bin/sh", "-c", line],
        env={"SUPERVISOR_RUN_ID": "mine", "PATH": "/bin"},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        pid = training_process([process.pid], "mine")
        assert pid not in (None, process.pid)
        assert training_process([process.pid], "another") is None
        found = of_process(pid or 0)
        assert found is not None
        assert (found.version, found.folders) == (
            "3.12.9",
            (str(python.parents[1] / "lib" / "python3.12" / "site-packages"),),
        )
        assert of_process(process.pid) is None
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()


def test_processes_that_are_gone() -> None:
    """Nothing is found, and nothing fails."""
    assert training_process([2**22 + 1], "mine") is None
    assert of_process(2**22 + 1) is None


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\nGCC", "550.54.14"),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build",
            "570.86.10",
        ),
        ("something else", None),
    ],
)
def test_driver(tmp_path: Path, text: str, version: str | None) -> None:
    """The closed module and the open one."""
    assert driver_version(str(tmp_path)) is None
    place = tmp_path / "driver" / "nvidia"
    place.mkdir(parents=True)
    (place / "version").write_text(text)
    assert driver_version(str(tmp_path)) == version


def test_script_and_configuration(tmp_path: Path) -> None:
    """The program first, then what else the words name; what is no small file is passed over."""
    for name in ("train.py", "other.py", "a.yaml", "b.json", "run.sh", "pkg/__main__.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "dir.yaml").mkdir()
    cwd, environ = str(tmp_path), {"PATH": os.path.dirname(sys.executable)}
    python = os.path.basename(sys.executable)

    def named(*command: str) -> tuple[str | None, list[str]]:
        script, files = files_of([command], environ, cwd)
        return (
            None if script is None else os.path.relpath(script, cwd),
            sorted(os.path.relpath(path, cwd) for path in files),
        )

    assert named(python, "train.py", "--config=a.yaml", "fifo.yaml", "dir.yaml", "x.json") == (
        "train.py", ["a.yaml", "train.py"],
    )  # fmt: skip
    assert named(python, "-m", "pkg", "b.json") == (
        "pkg/__main__.py",
        ["b.json", "pkg/__main__.py"],
    )
    assert named("bash", "-c", "python train.py --config a.yaml") == (
        "train.py", ["a.yaml", "train.py"],
    )  # fmt: skip
    assert named("torchrun", "--nproc=2", "train.py", "--other", "other.py")[0] == "train.py"
    assert named("./run.sh") == ("run.sh", ["run.sh"])
    assert named("true") == (None, [])


def test_commit(tmp_path: Path) -> None:
    """A branch, a packed branch, a detached head, a worktree; else none."""
    script = tmp_path / "repo" / "src" / "train.py"
    script.parent.mkdir(parents=True)
    assert commit_of(str(script)) in (None, commit_of(str(tmp_path)))
    git = tmp_path / "repo" / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert commit_of(str(script)) is None
    (git / "packed-refs").write_text(f"# pack-refs\n{COMMIT} refs/heads/main\n")
    assert commit_of(str(script)) == COMMIT
    (git / "refs" / "heads" / "main").write_text(COMMIT[::-1] + "\n")
    assert commit_of(str(script)) == COMMIT[::-1]
    (git / "HEAD").write_text(COMMIT + "\n")
    assert commit_of(str(script)) == COMMIT
    tree = git / "worktrees" / "w"
    tree.mkdir(parents=True)
    (tree / "HEAD").write_text("ref: refs/heads/main\n")
    (tree / "commondir").write_text("../..\n")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".git").write_text(f"gitdir: {tree}\n")
    assert commit_of(str(tmp_path / "w" / "train.py")) == COMMIT[::-1]


def test_our_own_folder_in_pythonpath() -> None:
    """The folder of the start-up hook is no setting: another installation changes nothing."""
    assert chosen({"PYTHONPATH": STARTUP}) == ({}, {})
    assert chosen({"PYTHONPATH": f"{STARTUP}:/a"}) == chosen({"PYTHONPATH": "/a"})
    assert chosen({"PYTHONPATH": "/a"}) != chosen({"PYTHONPATH": "/b"})


def test_variables_keep_no_secret() -> None:
    """Values only of those that may be shown; of a secret not even a check."""
    environ = {
        "NCCL_DEBUG": "INFO", "CUDA_VISIBLE_DEVICES": "0,1", "SLURM_JOB_NODELIST": "gpu[07-09]",
        "TORCH_PROXY": "http://me:hunter2@proxy/", "NCCL_AUTH_TOKEN": "hunter2",
        "HF_TOKEN": "hunter2", "WANDB_API_KEY": "hunter2", "LD_PRELOAD": "hunter2",
        "MY_SETTING": "hunter2", "SSH_TTY": "hunter2", "SLURM_JOB_ID": "7",
        "SUPERVISOR_ATTEMPT": "3", "WANDB_RUN_ID": "x",
    }  # fmt: skip
    shown, hidden = chosen(environ, ["MY_SETTING"])
    assert shown == {
        "NCCL_DEBUG": "INFO", "CUDA_VISIBLE_DEVICES": "0,1", "SLURM_JOB_NODELIST": "gpu[07-09]",
        "TORCH_PROXY": f"http://{MASK}@proxy/",
    }  # fmt: skip
    assert hidden.keys() == {
        "NCCL_AUTH_TOKEN", "HF_TOKEN", "WANDB_API_KEY", "LD_PRELOAD", "MY_SETTING",
    }  # fmt: skip
    assert {name for name, check in hidden.items() if check is None} == {
        "NCCL_AUTH_TOKEN", "HF_TOKEN", "WANDB_API_KEY",
    }  # fmt: skip
    assert all(check is None or check < 1 << 16 for check in hidden.values())


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["--lr", "3e-4", "--max-tokens", "100"], ["--lr", "3e-4", "--max-tokens", "100"]),
        (["--tokenizer=gpt2"], ["--tokenizer=gpt2"]),
        (["--api-key", "hunter2", "--lr", "1"], ["--api-key", MASK, "--lr", "1"]),
        (["--api-key=hunter2"], [f"--api-key={MASK}"]),
        (["HF_TOKEN=hunter2", "python"], [f"HF_TOKEN={MASK}", "python"]),
        (["s3://me:hunter2@host/x"], [f"s3://{MASK}@host/x"]),
        (["bash", "-c", "HF_TOKEN=hunter2 python t.py"], ["bash", "-c", f"HF_TOKEN={MASK}"]),
        (["bash", "-c", "login --password hunter2; python t.py"], ["bash", "-c", MASK]),
        (["--use-auth", "--lr", "1"], ["--use-auth", "--lr", "1"]),
    ],
)
def test_words_keep_no_secret(words: list[str], kept: list[str]) -> None:
    """The values of options that sound secret are masked."""
    assert list(masked(words)) == kept


def test_a_record_is_read_as_it_was_written() -> None:
    """Of this version; another format is none, and a value of another type is not known."""
    said = json.loads(json.dumps(to_json(GOOD)))
    assert from_json(said) == GOOD
    assert from_json({**said, "format": 2}) is None
    assert from_json({**said, "later": 1}) == GOOD
    assert from_json({**said, "python": 3, "packages": [], "files": {"/w": 1}}) == GOOD._replace(
        python=None, packages=None, files={}
    )
    for nothing in (None, [], {}, {"format": 1}, {"format": 1, "attempt": "x", "taken": 1}):
        assert from_json(nothing) is None


def ask(folder: Path, attempt: int, since: int | None, **more: Any) -> dict[str, Any]:
    """The child's answer."""
    asked = {
        "attempt": attempt, "since": since, "began": 0.0, "folder": str(folder), "run_id": "mine",
        "command": [sys.executable, "-V"], "env": {}, "pids": [],
    }  # fmt: skip
    return child.answer({**asked, **more})


def test_records_of_two_attempts_are_kept(tmp_path: Path) -> None:
    """Two records are kept, the last attempt's and the last good one's, and a kept one stays."""
    folder = tmp_path / "surroundings"
    assert ask(folder, 1, None) == {"changes": [], "more": 0}
    assert ask(folder, 2, 1)["changes"] == []
    answer = ask(folder, 3, 1, env={"NCCL_DEBUG": "INFO"})
    assert answer["changes"] == [["variable", "NCCL_DEBUG", None, "INFO", None]]
    assert sorted(path.name for path in folder.iterdir()) == ["0001.json", "0003.json"]
    # Another daemon asks again: the record stays as the attempt had begun.
    assert ask(folder, 3, 1) == answer
    # One that is older than the attempt is not its own.
    assert ask(folder, 3, 1, began=time.time() + 60)["changes"] == []


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    """Nothing is compared then."""
    ask(tmp_path, 1, None)
    (tmp_path / "0001.json").write_text("[" * 100_000)
    assert ask(tmp_path, 2, 1) == {"changes": [], "more": 0}
