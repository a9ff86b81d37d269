"""Where a trainer may save: by its command line, its settings files, and its open files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.survey.elsewhere.save_places import (
    cache_directories,
    commands_of,
    open_for_writing,
    places,
    processes_of,
    working_directories,
)

ENVIRONMENT = {"HOME": "/home/ada", "SCRATCH": "/scratch/ada"}
Start = Callable[..., int]


def found(*argv: str, cwd: str | Path = "/job", **environment: str) -> list[str]:
    """The places that one command line names."""
    return [str(path) for path in places([argv], [cwd], {**ENVIRONMENT, **environment})]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--output_dir", "out"], ["/job/out"]),
        (["--output-dir=out"], ["/job/out"]),
        (["--Output-Dir", "out"], ["/job/out"]),
        (["--save_dir", "/data/s"], ["/data/s"]),
        (["--save-dir=../s"], ["/s"]),
        (["--out_dir=out"], ["/job/out"]),
        (["--outdir", "o"], ["/job/o"]),
        (["--default_root_dir", "logs"], ["/job/logs"]),
        (["--trainer.default_root_dir=logs"], ["/job/logs"]),
        (["--work-dir", "work_dirs/r50"], ["/job/work_dirs/r50"]),
        (["--checkpoint_dir", "c"], ["/job/c"]),
        (["--ckpt-dir", "c"], ["/job/c"]),
        (["-logdir", "l"], ["/job/l"]),
        (["--save", "megatron/ckpt", "--lr", "1"], ["/job/megatron/ckpt"]),
        (["--save-path=s"], ["/job/s"]),
        (["hydra.run.dir=outputs/a"], ["/job/outputs/a"]),
        (["hydra.sweep.dir=multirun/a"], ["/job/multirun/a"]),
        (["output_dir=o"], ["/job/o"]),
        (["training.output_dir=o"], ["/job/o"]),
        (["+trainer.default_root_dir=o"], ["/job/o"]),
        (["++exp_manager.explicit_log_dir=nemo"], ["/job/nemo"]),
        (["--checkpoint.folder", "ckpt"], ["/job/ckpt"]),
        (["project=runs", "name=exp"], ["/job/runs", "/job/runs/exp"]),
        (["--project", "runs", "--name", "exp"], ["/job/runs", "/job/runs/exp"]),
        (["-o", "./out"], ["/job/out"]),
        (["output_dir='quoted'"], ["/job/quoted"]),
    ],
    ids=" ".join,
)
def test_an_argument_that_names_a_directory(arguments: list[str], expected: list[str]) -> None:
    """Options may be long or dotted, with `=` or without, with `-` for `_`, in any case."""
    assert found("python", "t.py", *arguments) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["--resume_from_checkpoint", "old"],
        ["--ckpt_path", "old/last.ckpt"],
        ["--model_name_or_path", "gpt2"],
        ["--data_dir", "data"],
        ["--cache_dir", "cache"],
        ["--save", "--lr", "1"],
        ["--save=true"],
        ["--output_dir", "none"],
        ["--output_dir=s3://bucket/run"],
        ["--output_dir", ""],
        ["-o", "pipefail"],
        ["--dir", "x"],
        ["--name", "exp"],
        ["--output_dir"],
    ],
    ids=" ".join,
)
def test_an_argument_that_names_none(arguments: list[str]) -> None:
    """A path to resume from, data, switches and object stores name no place for saves."""
    assert found("python", "t.py", *arguments) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("~/runs", ["/home/ada/runs"]),
        ("$SCRATCH/ckpt", ["/scratch/ada/ckpt"]),
        ("${SCRATCH}/ckpt", ["/scratch/ada/ckpt"]),
        ("${oc.env:SCRATCH}/c", ["/scratch/ada/c"]),
        ("${oc.env:ABSENT,/tmp/d}/c", ["/tmp/d/c"]),
        ("outputs/${now:%Y-%m-%d}/x", ["/job/outputs"]),
        ("out/model_{epoch}.pt", ["/job/out"]),
        ("out/ckpt.pt", ["/job/out"]),
        ("$ABSENT/ckpt", []),
        ("${root}/ckpt", []),
        ("file:///data/x", ["/data/x"]),
    ],
)
def test_what_stands_for_a_path(value: str, expected: list[str]) -> None:
    """Variables and `~` are filled in, and a path ends before what only the trainer knows."""
    assert found("t", f"--output_dir={value}") == expected


def test_a_directory_may_be_called_like_a_file(tmp_path: Path) -> None:
    """An existing directory counts as a directory, whatever its ending."""
    (tmp_path / "run.pt").mkdir()
    assert found("t", "--save_path=run.pt", cwd=tmp_path) == [str(tmp_path / "run.pt")]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("python t.py --output_dir out; echo done", ["/job/out"]),
        ("cd x && python t.py --output_dir='my out' | tee log", ["/job/my out"]),
        ("SAVE_DIR=there python t.py", ["/job/there"]),
        ("python 't.py --output_dir out", ["/job/out"]),
    ],
)
@pytest.mark.parametrize("shell", [["bash", "-c"], ["srun", "/bin/sh", "-c"], ["bash", "-lc"]])
def test_a_script_in_an_argument(shell: list[str], script: str, expected: list[str]) -> None:
    """The script that a shell gets as an argument is read as its words."""
    assert found(*shell, script) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.yaml", "trainer:\n  output_dir: out # here\n# save_dir: old\n", ["out"]),
        ("a.yaml", "hydra:\n  run:\n    dir: outputs/a\ndir: x\n", ["outputs/a"]),
        ("a.yaml", "trainer: {max_steps: 3, default_root_dir: 'a b'}\n", ["a b"]),
        ("a.yaml", "x: 1 # output_dir: old\noutput_dir: ~\nsave_dir: null\n", []),
        ("a.json", '{"output_dir": "out", "lr": 1, "save-dir": "s"}', ["out", "s"]),
        ("a.json", '{\n "checkpoint": {\n  "dir": "c"\n }\n}', ["c"]),
        ("a.toml", '[checkpoint]\nfolder = "ckpt"\n[job]\ndump_folder = "o"\n', ["ckpt", "o"]),
        ("a.ini", "; output_dir = old\noutput_dir = out\n", ["out"]),
        ("a.py", "work_dir = './work_dirs/x'\nout_dir = name()\n", ["work_dirs/x"]),
        ("a.sh", "python t.py \\\n  --output_dir out # here\n", ["out"]),
    ],
)
@pytest.mark.parametrize("form", ["--config {}", "--config={}", "{}", "cfg={}"])
def test_a_file_of_settings(
    tmp_path: Path, name: str, text: str, expected: list[str], form: str
) -> None:
    """YAML, JSON, TOML, INI, Python and shell are read by lines; comments and nulls name none."""
    (tmp_path / name).write_text(text)
    paths = found("train", *form.format(name).split(), cwd=tmp_path)
    assert paths == [str(tmp_path / one) for one in expected]


def test_arguments_in_a_file(tmp_path: Path) -> None:
    """Argparse's `@file`, and Hydra's directory and name of a configuration, are read."""
    (tmp_path / "args.txt").write_text("--output_dir\nout\n--save_dir=s\n")
    assert found("t", "@args.txt", cwd=tmp_path) == [str(tmp_path / "out"), str(tmp_path / "s")]
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/big.yaml").write_text("save_dir: big\n")
    for arguments in (["--config-name", "big"], ["--config-path=conf", "--config-name=big.yaml"]):
        assert found("t", *arguments, cwd=tmp_path) == [str(tmp_path / "big")]


def test_odd_files_of_settings(tmp_path: Path) -> None:
    """A pipe, a directory, bytes and lines without end block nothing and raise nothing."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\x00output_dir: out\n\xfe")
    (tmp_path / "long.yaml").write_text("a" * 2_000_000 + "\noutput_dir: out\n")
    (tmp_path / "marks.yaml").write_text("a:" * 500_000)
    (tmp_path / "quotes.yaml").write_text("a:'" * 300_000)
    for path in sorted(tmp_path.iterdir()):
        assert found("t", path.name, cwd=tmp_path) == (
            [str(tmp_path / "out")] if path.name == "bytes.yaml" else []
        )
    assert found("t", "absent.yaml", "nul\0.yaml", "@", "--config-name=", cwd=tmp_path) == []


def test_each_place_once_and_not_too_many() -> None:
    """Ranks name the same place once, and a thousand options are cut off."""
    ranks = [["t", "--output_dir", "out", f"--local_rank={rank}"] for rank in range(4)]
    assert len(places(ranks, ["/job"] * 4, {})) == 1
    many = ["t", *(f"--output_dir=o{number}" for number in range(1000))]
    assert len(places([many], ["/job"], {})) == 64


def test_the_environment_names_places_too() -> None:
    """A variable for saves counts if it holds a path, and other variables do not."""
    assert found("t", OUTPUT_DIR="/data/o", SAVE_DIR="plain", DATA_DIR="/d") == ["/data/o"]


def test_caches_of_the_environment() -> None:
    """Caches are where libraries download to, as absolute paths only."""
    caches = cache_directories({"HOME": "/home/ada", "HF_HOME": "/big/hf", "TORCH_HOME": "rel"})
    assert {Path("/big/hf"), Path("/home/ada/.cache")} <= set(caches)
    assert Path("rel") not in caches
    assert cache_directories({}) == ()


HOLD = (
    "import os, sys, time, socket, tempfile, mmap\n"
    "w = open('w.pt', 'wb'); u = open('u.bin', 'r+b'); r = open('r.pt', 'rb')\n"
    "a = open('log.txt', 'a'); s = socket.socket(); n = open('/dev/null', 'w')\n"
    "gone = open('gone.pt', 'wb'); os.unlink('gone.pt'); m = os.memfd_create('m')\n"
    "print('ready', flush=True); time.sleep(1000)\n"
)


def test_files_open_for_writing(tmp_path: Path, start_ready: Start) -> None:
    """Only regular files with a name count: none that is read, deleted, a device or in memory."""
    for name in ("u.bin", "r.pt"):
        (tmp_path / name).write_bytes(b"x")
    pid = start_ready(sys.executable, "-c", HOLD, cwd=tmp_path)
    assert set(open_for_writing([pid, 2**22 + 1])) == {
        tmp_path / "w.pt",
        tmp_path / "u.bin",
        tmp_path / "log.txt",
    }


def test_what_a_wrapper_starts_is_seen(tmp_path: Path, start_ready: Start) -> None:
    """`bash start.sh` names no place, but the trainer that it starts in another directory does."""
    (tmp_path / "sub").mkdir()
    code = "import time; print('ready', flush=True); time.sleep(1000)"
    (tmp_path / "begin").write_text(f'cd sub\n{sys.executable} -c "{code}" --output_dir out\ntrue')
    main = start_ready("bash", "begin", cwd=tmp_path)
    pids = processes_of(main)
    commands = commands_of(pids)
    assert pids[0] == main
    assert len(pids) == 2
    assert working_directories(commands) == (tmp_path / "sub",)
    assert places([one.argv for one in commands], [one.cwd for one in commands], {}) == (
        tmp_path / "sub" / "out",
    )


def test_processes_that_have_ended(tmp_path: Path) -> None:
    """Ended processes have no descendants, no command and no files."""
    process = subprocess.Popen(["true"])
    process.wait()
    assert processes_of(process.pid) == ()
    assert commands_of([process.pid]) == ()
    assert open_for_writing([process.pid]) == ()
