"""`supervisor run -- COMMAND`: a run by its command, with a real daemon where one is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.config.load import load_config
from supervisor.rundir.ledger import read_ledger
from supervisor.rundir.lock import is_held
from supervisor.rundir.paths import RunPaths
from tests.cli.conftest import make_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.cli.conftest import Command

ODD = ["--a b", "it's", 'a "b"', "a\nb", "", "$HOME", "é", "*", "#", "{checkpoint}", "1e-4"]
SCRIPT = "import json, os, sys\nprint(json.dumps([os.getcwd(), *sys.argv[1:]]))\n"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that prints where it runs, and its arguments."""
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return path


def ran(folder: Path, name: str = "train") -> list[list[str]]:
    """What each attempt printed."""
    log = RunPaths(folder / "runs" / name).train_log
    return [json.loads(line) for line in log.read_text().splitlines()]


def files(folder: Path) -> dict[str, int]:
    """Every file with its modification time."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def lines_to_paste(text: str) -> list[str]:
    """The whole lines of an error."""
    return [line.strip() for line in text.splitlines() if line.startswith("  supervisor run ")]


def paste(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Have a shell read the line, as the user who pastes it does."""
    program = f'supervisor() {{ {sys.executable} -m supervisor "$@"; }}\n'
    return subprocess.run(
        ["bash", "-c", program + line], cwd=folder, env=make_environment(folder),
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


@pytest.mark.usefixtures("script")
def test_the_same_line_goes_on(command: Command, tmp_path: Path) -> None:
    """The first start writes the configuration, closed to others; the second finds it again."""
    line = ["run", "--plain", "--", sys.executable, "train.py", *ODD]
    done = command(*line)
    assert done.returncode == 0, done.stderr
    assert "train: wrote runs/train/config.yaml\n" in done.stdout
    assert ran(tmp_path) == [[str(tmp_path), *ODD]]
    run_dir = tmp_path / "runs" / "train"
    config, ignored = run_dir / "config.yaml", run_dir / ".gitignore"
    assert [path.stat().st_mode & 0o777 for path in (run_dir, config)] == [0o700, 0o600]
    assert ignored.read_text() == (tmp_path / "runs" / ".gitignore").read_text() == "*\n"
    assert list(load_config(config).config.command) == line[3:]
    before = config.stat().st_mtime_ns
    again = command(*line)
    assert again.returncode == 0, again.stderr
    assert "finished" in again.stdout
    assert command(*line[:1], "--again", *line[1:]).returncode == 0
    assert len(ran(tmp_path)) == 2
    assert config.stat().st_mtime_ns == before


@pytest.mark.usefixtures("script")
def test_the_configuration_is_the_one_of_init(command: Command, tmp_path: Path) -> None:
    """But for `name` and `cwd` both have the same keys and values, and `check` takes both."""
    words = ["--", sys.executable, "train.py", "--lr", "1"]
    assert command("run", "-q", *words).returncode == 0
    assert command("init", "config.yaml", *words).returncode == 0
    written, made = (
        load_config(path).config
        for path in (tmp_path / "config.yaml", tmp_path / "runs" / "train" / "config.yaml")
    )
    assert made.cwd == str(tmp_path)
    same = {"name": "", "cwd": None}
    assert made.model_copy(update=same) == written.model_copy(update=same)
    assert command("check", "runs/train/config.yaml").returncode == 0


@pytest.mark.usefixtures("script")
def test_other_arguments_are_refused_with_lines_to_paste(command: Command, tmp_path: Path) -> None:
    """Nothing changes before a pasted line begins another run, or goes on with the old one."""
    python = [sys.executable, "train.py"]
    assert command("run", "-q", "--", *python, "--lr", "1e-4", "it's", "a\nb").returncode == 0
    before = files(tmp_path)
    done = command("run", "--plain", "--", *python, "--lr", "3e-4", "it's", "a\nb")
    assert done.returncode == 78
    assert "--lr 1e-4 is now --lr 3e-4" in done.stderr
    assert files(tmp_path) == before
    other, old = lines_to_paste(done.stderr)
    assert " --name train-lr3e-4 -- " in other
    assert paste(other, tmp_path).returncode == 0
    assert ran(tmp_path, "train-lr3e-4") == [[str(tmp_path), "--lr", "3e-4", "it's", "a\nb"]]
    known = paste(old, tmp_path)
    assert (known.returncode, len(ran(tmp_path))) == (0, 1)
    assert "finished" in known.stdout
    again = command("run", "--", *python, "--lr", "3e-4", "it's", "a\nb")
    assert (again.returncode, "that run is there" in again.stderr) == (78, True)


@pytest.mark.usefixtures("script")
def test_a_secret_of_the_old_line_is_not_printed_again(command: Command) -> None:
    """The old run is named by its configuration, which only its owner can read."""
    python = [sys.executable, "train.py"]
    assert command("run", "-q", "--", *python, "--token", "sk-old").returncode == 0
    done = command("run", "--", *python, "--token", "sk-new", "--lr", "1")
    assert done.returncode == 78
    assert "sk-" not in done.stderr
    other, old = lines_to_paste(done.stderr)
    assert other.endswith(" --token '***' --lr 1")
    assert old == "supervisor run runs/train/config.yaml"
    assert "--name train-lr1 " in other


@pytest.mark.usefixtures("script")
def test_the_name_auto_is_that_of_what_differs(command: Command, tmp_path: Path) -> None:
    """A sweep has a run for each line, and each line finds its run again."""
    for rate in ("1", "2", "2"):
        line = ["run", "-q", "--name", "auto", "--", sys.executable, "train.py", "--lr", rate]
        assert command(*line).returncode == 0
    assert sorted(os.listdir(tmp_path / "runs"))[-2:] == ["train", "train-lr2"]
    assert [len(ran(tmp_path, name)) for name in ("train", "train-lr2")] == [1, 1]
    # Edited, the first run has another command; what the second was called is known all the same.
    config = tmp_path / "runs" / "train" / "config.yaml"
    config.write_text(config.read_text().replace("--lr, '1'", "--lr, '1', --more"))
    assert command(*line).returncode == 0
    assert sorted(os.listdir(tmp_path / "runs"))[-2:] == ["train", "train-lr2"]


@pytest.mark.slow
@pytest.mark.usefixtures("script")
def test_a_sweep_started_at_once_has_a_run_for_each(tmp_path: Path) -> None:
    """Those that lose the race for a name take another; none trains under another's name."""
    rates = ["1", "2", "3"]
    words = [sys.executable, "-m", "supervisor", "run", "-q", "--name", "auto", "--"]
    started = [
        subprocess.Popen(
            [*words, sys.executable, "train.py", "--lr", rate],
            cwd=tmp_path, env=make_environment(tmp_path), stderr=subprocess.PIPE, text=True,
        )
        for rate in rates
    ]  # fmt: skip
    said = [process.communicate(timeout=90)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    names = [path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    assert len(names) == 3
    assert sorted(ran(tmp_path, name)[0][-1] for name in names) == rates


def test_two_scripts_of_one_name(command: Command, tmp_path: Path) -> None:
    """The second is refused, and its folder becomes part of its name."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "train.py").write_text(SCRIPT)
    assert command("run", "-q", "--", sys.executable, "a/train.py").returncode == 0
    done = command("run", "--", sys.executable, "b/train.py")
    assert done.returncode == 78
    assert " --name train-b -- " in lines_to_paste(done.stderr)[0]


@pytest.mark.usefixtures("script")
def test_where_the_command_runs(command: Command, tmp_path: Path) -> None:
    """It is where `run --` was typed, wherever the configuration is named from later."""
    inside, link = tmp_path / "sub", tmp_path / "link"
    inside.mkdir()
    link.symlink_to("sub")
    line = ["run", "-q", "--", sys.executable, "../train.py"]
    assert command(*line, cwd=inside).returncode == 0
    assert command(line[0], "--again", *line[1:], cwd=link).returncode == 0
    config = inside / "runs" / "train" / "config.yaml"
    assert command("run", "-q", "--again", config, cwd=Path("/")).returncode == 0
    assert ran(inside) == [[str(inside)]] * 3
    done = command("status", "--json", config, cwd=Path("/"))
    assert json.loads(done.stdout)["run_dir"] == str(inside / "runs" / "train")
    assert f"--chdir={inside}\n" in command("sbatch", "--print", config, cwd=Path("/")).stdout


@pytest.mark.usefixtures("script")
def test_a_copy_of_the_directory_runs_there(command: Command, tmp_path: Path) -> None:
    """The same line in a renamed directory goes on there."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    line = ["run", "-q", "--again", "--", sys.executable, "../train.py"]
    assert command(*line, cwd=old).returncode == 0
    old.rename(new)
    assert command(*line, cwd=new).returncode == 0
    assert ran(new) == [[str(old)], [str(new)]]


@pytest.mark.usefixtures("script")
def test_runs_on_another_disk(command: Command, tmp_path: Path) -> None:
    """Where `runs` is a link, the working directory is named by its whole path."""
    here = tmp_path / "here"
    for folder in (here, tmp_path / "disk"):
        folder.mkdir()
    (here / "runs").symlink_to("../disk")
    line = ["run", "-q", "--", sys.executable, "../train.py"]
    assert command(*line, cwd=here).returncode == 0
    config = tmp_path / "disk" / "train" / "config.yaml"
    assert command("run", "-q", "--again", config, cwd=Path("/")).returncode == 0
    assert ran(here) == [[str(here)]] * 2
    here.rename(tmp_path / "there")
    done = command(*line, cwd=tmp_path / "there")
    assert (done.returncode, f"runs in {here}, not here" in done.stderr) == (78, True)
    gone = command("run", config, cwd=Path("/"))
    assert (gone.returncode, "does not exist" in gone.stderr) == (78, True)


@pytest.mark.parametrize("name", ["train.py", "runs"])
def test_a_directory_in_which_nothing_can_be_made(
    command: Command, tmp_path: Path, name: str
) -> None:
    """A file named `runs` is refused, and nothing is written."""
    (tmp_path / name).write_text(SCRIPT)
    (tmp_path / "runs").touch()
    before = files(tmp_path)
    done = command("run", "--", sys.executable, name)
    assert done.returncode == 78
    assert "runs is a file" in done.stderr
    assert "supervisor init PATH -- COMMAND" in done.stderr
    assert files(tmp_path) == before


def test_a_read_only_directory(command: Command, script: Path) -> None:
    """The error names the place, and says where else to begin."""
    # Not even root can make a directory there.
    done = command("run", "--", sys.executable, script, cwd=Path("/sys"))
    assert done.returncode == 78
    assert "runs: cannot be written" in done.stderr
    assert "supervisor init PATH -- COMMAND" in done.stderr


def test_a_run_of_another_configuration_has_the_name(
    command: Command, script: Path, tmp_path: Path
) -> None:
    """Its record is left alone; both lines to paste are whole."""
    (tmp_path / "my.yaml").write_text(f"name: train\ncommand: [{sys.executable}, {script}]\n")
    assert command("run", "-q", "my.yaml").returncode == 0
    before = files(tmp_path / "runs" / "train")
    done = command("run", "-q", "--", sys.executable, "train.py")
    assert done.returncode == 78
    other, old = lines_to_paste(done.stderr)
    assert old == "supervisor run my.yaml"
    assert files(tmp_path / "runs" / "train") == before
    assert paste(other, tmp_path).returncode == 0


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize("text", ["lr0: 0.01\nmodel: yolo.pt\n", "", "command: [a]\nnope: 1\n"])
def test_a_foreign_config_yaml_is_never_overwritten(
    command: Command, tmp_path: Path, text: str
) -> None:
    """Some trainers keep a config.yaml of their own below runs/."""
    config = tmp_path / "runs" / "train" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(text)
    (config.parent / ".gitignore").write_text("!*\n")
    done = command("run", "--", sys.executable, "train.py")
    assert done.returncode == 78
    assert "--name train-" in done.stderr
    assert config.read_text() == text
    assert command("run", "-q", "--name", "auto", "--", sys.executable, "train.py").returncode == 0
    assert config.read_text() == text
    assert not (tmp_path / "runs" / ".gitignore").exists()


def check_refused(done: subprocess.CompletedProcess[str], code: int, said: str) -> None:
    """The exit code, and a part of the error."""
    assert done.returncode == code, done.stderr
    assert said in done.stderr


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--", "LR=1", "B=2", "python", "t.py"], 2, "supervisor run -- env LR=1 B=2 python t.py"),
        (["-q", "--", "python t.py --lr 1"], 2, "  supervisor run -q -- python t.py --lr 1\n"),
        (["--", "cd x && python t.py"], 2, "supervisor run -- bash -c 'cd x && python t.py'"),
        (["--", "HF_TOKEN=hf_x", "t"], 2, "supervisor run -- env 'HF_TOKEN=***' t\n"),
        (["--", "A=1 python t.py"], 2, "supervisor run -- bash -c 'A=1 python t.py'"),
        (["--", ""], 2, "empty word"),
        (["--", "python", b"t.py", b"a\xff"], 2, "a\\xff has a byte that is not UTF-8"),
        (["--", b"\xff.py"], 2, "\\xff.py has a byte"),
        ([], 2, "supervisor run -- python train.py"),
        (["--"], 2, "supervisor run config.yaml"),
        (["c.yaml", "--", "python", "t.py"], 2, "  supervisor run c.yaml\n"),
        (["--name", "x", "c.yaml"], 2, "--name goes with"),
        (["--name", "a/b", "--", "python", "train.py"], 2, "no name of a run"),
        (["python3", "train.py", "--lr", "1"], 2, "supervisor run -- python3 train.py --lr 1"),
        (["--plain", "train.py"], 78, "supervisor run -- python train.py"),
        (["--", "train.yaml"], 2, "supervisor run train.yaml"),
        (["--", "pyhton", "train.py"], 78, "pyhton is not found"),
        (["--", sys.executable, "trian.py"], 78, "trian.py does not exist"),
        (["--", "./train.py"], 78, "write `python ./train.py`"),
    ],
)
def test_what_was_typed_wrongly_gets_the_right_line(
    command: Command, tmp_path: Path, words: Sequence[str | bytes], code: int, said: str
) -> None:
    """The error has the line to type, and nothing is written."""
    (tmp_path / "train.yaml").write_text("command: [a]\n")
    before = files(tmp_path)
    check_refused(command("run", *map(os.fsdecode, words)), code, said)
    assert files(tmp_path) == before


def test_init_refuses_the_same_words(command: Command, tmp_path: Path) -> None:
    """`init -- COMMAND` writes no configuration that `run` could not start."""
    check_refused(command("init", "--", "LR=1", "t"), 2, "supervisor init -- env LR=1 t")
    check_refused(command("init", "c.yaml", "--", "a b"), 2, "supervisor init c.yaml -- a b")
    assert not list(tmp_path.glob("*.yaml"))


def test_stop_resume_and_the_name_as_target(command: Command, tmp_path: Path) -> None:
    """`status`, `logs`, `events` and `stop` take the name, also beside a folder of that name."""
    (tmp_path / "train.sh").write_text(
        'trap "exit 75" TERM\necho up\nwhile true; do sleep 0.1; done\n'
    )
    (tmp_path / "train").mkdir()
    line = ["run", "--detach", "--", "bash", "train.sh"]
    done = command(*line)
    assert done.returncode == 0, done.stderr
    assert "supervisor stop runs/train" in done.stdout
    paths = RunPaths(tmp_path / "runs" / "train")
    assert is_held(paths)
    check_refused(command(*line), 69, "another supervisor has this run")
    assert command("stop", "train").returncode == 0
    for target in (["train"], ["runs/train"], ["runs/train/config.yaml"], []):
        assert json.loads(command("status", "--json", *target).stdout)["state"] == "stopped"
        assert command("events", *target).returncode == 0
        assert command("logs", *target).returncode == 0
    check_refused(command(*line), 75, "supervisor run runs/train/config.yaml")
    assert command("resume", "train").returncode == 0
    assert command(*line).returncode == 0
    assert command("stop").returncode == 0
    kinds = [entry["type"] for entry in read_ledger(paths.ledger)]
    assert kinds.count("supervisor_started") == 2


def test_a_variable_that_the_command_names_has_changed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same line does something else then: that is told at the start, without the values."""
    (tmp_path / "t.sh").write_text("echo $1\necho x > $SUPERVISOR_RUN_DIR/step-$1.bin\n")
    line = ["run", "--plain", "--existing", "use", "--", "bash", "-c", "exec bash t.sh $STEP"]
    monkeypatch.setenv("STEP", "10")
    assert command(*line).returncode == 0
    config = tmp_path / "runs" / "t" / "config.yaml"
    config.write_text(config.read_text() + "\nenv: {OTHER: $UNUSED}\n")
    text = config.read_text().replace("# resume:", "resume:")
    config.write_text(text.replace("#   by: supervisor", "  by: trainer"))
    again = [*line[:1], "--again", *line[1:]]
    same = command(*again)
    assert (same.returncode, "changed since" in same.stdout) == (0, False), same.stdout
    monkeypatch.setenv("STEP", "20")
    done = command(*again)
    assert (done.returncode, "t: STEP changed since attempt " in done.stdout) == (0, True)
    assert "STEP changed since attempt" in command("events").stdout
    assert "since" not in command(*again).stdout


def test_bare_is_for_this_launch(command: Command, tmp_path: Path) -> None:
    """The trainer does not get our folder then; the user's file stays as it is."""
    (tmp_path / "t.sh").write_text("echo $SUPERVISOR_INTEGRATE $PYTHONPATH\n")
    bare, plain = (["run", "-q", *more, "--", "bash", "t.sh"] for more in (["--bare"], ["--again"]))
    assert command(*bare).returncode == 0
    config = tmp_path / "runs" / "t" / "config.yaml"
    written = config.read_text()
    assert command(*plain).returncode == 0
    assert command("run", "-q", "--bare", "--again", config).returncode == 0
    log = RunPaths(config.parent).train_log.read_text().splitlines()
    assert [line.split()[0] for line in log] == ["none", "auto", "none"]
    assert ["integrations/startup" in line for line in log] == [False, True, False]
    assert config.read_text() == written
