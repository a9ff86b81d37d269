"""Which scripts are Python programs by their first line, as the kernel reads it."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from standin import Parked, run_cold
from test_equality import PROBE, compare

from supervisor.launcher.children.trainer import program_of
from supervisor.launcher.messages import LaunchOrder
from supervisor.standby import shebang, start
from supervisor.standby.command import Cold, PythonCommand, parse
from supervisor.standby.shebang import resolve

PYTHON = sys.executable
BESIDE = '"$(dirname -- "$(realpath -- "$0")")"/'
RUN = 'exec "$0" "$@"'
BASH = "/bin/bash"


def shell_form(words: str, shell: str = "/bin/sh") -> str:
    """The first lines that pip and uv write where Python's path is long or has spaces."""
    return f"#!{shell}\n'''exec' {words} \"$0\" \"$@\"\n' '''\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of console scripts, with links to this Python beside them and in one with spaces."""
    found = tmp_path / "venv" / "bin"
    found.mkdir(parents=True)
    (found / "python").symlink_to(PYTHON)
    (tmp_path / "with a space").mkdir()
    (tmp_path / "with a space" / "python3").symlink_to(PYTHON)
    return found


def write(path: Path, head: str, body: str = "pass\n") -> Path:
    """A script that may be executed."""
    path.write_bytes(os.fsencode(head) + body.encode())
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("head", "words", "options", "comm"),
    [
        ("#!{bin}/python\n", ["{bin}/python"], [], "tool"),
        ("#! \t{bin}/python \t\n", ["{bin}/python"], [], "tool"),
        ("#!{bin}/python -u\n", ["{bin}/python", "-u"], ["-u"], "tool"),
        ("#!{bin}/python -sP\n", ["{bin}/python", "-sP"], ["-sP"], "tool"),
        ("#!/usr/bin/env python\n", ["/usr/bin/env", "python"], [], None),
        ("#!/usr/bin/env -S python -u -W error\n",
         ["/usr/bin/env", "-S python -u -W error"], ["-u", "-W", "error"], None),
        ("#!/usr/bin/env -SA=1 python -u\n", ["/usr/bin/env", "-SA=1 python -u"], ["-u"], None),
        (shell_form("{bin}/python"), ["/bin/sh", "-c", RUN, "{bin}/python"], [], None),
        (shell_form("{bin}/python -s"),
         ["/bin/sh", "-c", RUN, "{bin}/python", "-s"], ["-s"], None),
        (shell_form('"{tmp}/with a space/python3"'),
         ["/bin/sh", "-c", RUN, "{tmp}/with a space/python3"], [], None),
        (shell_form("'{tmp}/with a space/python3'"),
         ["/bin/sh", "-c", RUN, "{tmp}/with a space/python3"], [], None),
        (shell_form(f"{BESIDE}'python'"), ["/bin/sh", "-c", RUN, "{bin}/python"], [], None),
    ],
)  # fmt: skip
def test_a_first_line_that_starts_python(
    head: str, words: list[str], options: list[str], comm: str | None, folder: Path, tmp_path: Path
) -> None:
    """The words to start Python, its options and the script are those that the kernel makes."""
    names = {"bin": str(folder), "tmp": str(tmp_path)}
    tool = write(folder / "tool", head.format(**names))
    environ = {"PATH": f"/nonexistent:{folder}"}
    found = resolve(["tool", "sft", "-u"], environ)
    assert isinstance(found, PythonCommand), found
    assert list(found.words) == [word.format(**names) for word in words]
    assert list(found.options) == options
    assert (found.kind, found.target, found.args) == ("script", str(tool), ("sft", "-u"))
    assert found.comm == comm
    assert isinstance(parse(["tool"], environ), Cold)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("", "tool is not Python"),
        ("\x7fELF\n", "tool is not Python"),
        ("#!\n", "tool is not Python"),
        ("#! \t\n", "tool is not Python"),
        ("#!/bin/sh\ntrue\n", "tool is not Python"),
        ("#!/bin/sh -e\n'''exec' {bin}/python \"$0\" \"$@\"\n' '''\n", "tool is not Python"),
        (shell_form("$HOME/python"), "tool is not Python"),
        (shell_form('"$HOME/python"'), "tool is not Python"),
        (shell_form("A=1 {bin}/python"), "tool is not Python"),
        (shell_form('"{bin}/python"x'), "tool is not Python"),
        ("#!python\n", "tool is not Python"),
        ("#!{bin}/pypy3\n", "tool is not Python"),
        ("#!{bin}/python\r\n", "tool is not Python"),
        ("#!{bin}/python\0\n", "tool is not Python"),
        ("#!" + "/" * 200 + "{bin}/python\n", "tool is not Python"),
        ("#!/usr/bin/env -i python\n", "tool is not Python"),
        ("#!/usr/bin/env -S -i python\n", "tool is not Python"),
        ("#!/usr/bin/env -S \"python\"\n", "tool is not Python"),
        ("#!/usr/bin/env -S ${{HOME}}/python\n", "tool is not Python"),
        ("#!/usr/bin/env python -u\n", "tool is not Python"),
        ("#!/usr/bin/env -S PYTHONPATH=/x python\n",
         "the first line of tool sets PYTHONPATH, by which it would be parked"),
        ("#!{bin}/python -I\n", "the first line of tool: -I makes Python ignore the variables"
         " by which it is parked"),
        ("#!{bin}/python -E\n", "the first line of tool: -E makes Python ignore the variables"
         " by which it is parked"),
        ("#!/usr/bin/env -S python -sI\n", "the first line of tool: -I makes Python ignore the"
         " variables by which it is parked"),
        ("#!{bin}/python -u -O\n", "the first line of tool: -  is an unknown option"),
        ("#!{bin}/python /other.py\n", "the first line of tool starts another program"),
        ("#!{bin}/python -mother\n", "the first line of tool starts another program"),
        ("#!{bin}/python3.99\n", "the first line of tool: {bin}/python3.99 is not found"),
        ("#!{bin}/python\nPK\x03\x04", "tool is a directory or an archive, not a script"),
    ],
)  # fmt: skip
def test_a_script_that_can_only_be_launched_cold(head: str, reason: str, folder: Path) -> None:
    """What the kernel would not start as this very program, or what is not sure, is cold."""
    write(folder / "tool", head.format(bin=folder))
    found = resolve(["tool"], {"PATH": str(folder)})
    assert found == Cold(reason.format(bin=folder))


def test_the_script_is_found_as_by_exec(folder: Path, tmp_path: Path) -> None:
    """By a path, by a relative folder of PATH; a script that may not be executed is passed over."""
    write(folder / "tool", f"#!{PYTHON}\n")
    hidden = write(tmp_path / "tool", f"#!{PYTHON}\n")
    hidden.chmod(0o644)
    path = f"{tmp_path}:venv/bin"
    for argv, target in (
        (["tool"], "venv/bin/tool"),
        (["./venv/bin/tool"], "./venv/bin/tool"),
        ([str(folder / "tool")], str(folder / "tool")),
    ):
        found = resolve(argv, {"PATH": path}, str(tmp_path))
        assert isinstance(found, PythonCommand), found
        assert found.target == target
    assert resolve(["none"], {"PATH": path}, str(tmp_path)) == Cold("none is not found")


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A fifo would hold its reader for ever; a file that nobody may read is no Python program."""
    os.mkfifo(tmp_path / "fifo", 0o755)
    assert resolve(["./fifo"], {}, str(tmp_path)) == Cold("./fifo is not found")
    if os.geteuid() != 0:
        script = write(tmp_path / "script", f"#!{PYTHON}\n")
        script.chmod(stat.S_IXUSR)
        assert resolve([str(script)], {}) == Cold(f"{script} cannot be read: Permission denied")


def test_programs_that_are_no_scripts_are_not_read(folder: Path) -> None:
    """A shell's file needs no look, and Python's own options count as before."""
    write(folder / "srun", f"#!{PYTHON}\n")
    environ = {"PATH": str(folder)}
    assert resolve(["srun", "x"], environ) == Cold("srun is not Python")
    assert resolve([], environ) == parse([], environ)
    assert resolve(["python", "a.py"], environ) == parse(["python", "a.py"], environ)


def test_only_the_child_reads_the_script(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher makes the program without a read; the child's preparation reads the line."""
    tool, record = write(folder / "tool", f"#!{PYTHON}\n"), tmp_path / "imports.json"
    env = {"SUPERVISOR_IMPORTS": str(record)}
    order = LaunchOrder(attempt=1, run_id="r", argv=(str(tool),), env=env, cwd=str(tmp_path))
    read = shebang._head
    monkeypatch.setattr(shebang, "_head", lambda path: pytest.fail(f"{path} was read"))
    program = program_of(order, None)
    assert program.prepare is not None
    assert start.STARTUP not in program.environ.get("PYTHONPATH", "")
    with pytest.raises(pytest.fail.Exception):
        program.prepare()
    monkeypatch.setattr(shebang, "_head", read)
    argv, environ = program.prepare()
    assert list(argv) == [str(tool)]
    assert environ["PYTHONPATH"].startswith(start.STARTUP)


HEADS = {
    "direct": ("#!{bin}/python\n", ["tool", "one"]),
    "by path": ("#!{bin}/python\n", ["./venv/bin/tool"]),
    "a long name": ("#!{bin}/python\n", ["./a-very-long-name-of-a-tool"]),
    "by a link": ("#!{bin}/python\n", ["./linked", "-u"]),
    "an option": ("#!{bin}/python -OOu\n", ["tool", "-x"]),
    "env": ("#!/usr/bin/env python\n", ["tool"]),
    "env -S": ("#!/usr/bin/env -S A=1 python -W error -u\n", ["tool"]),
    "the shell's form": (shell_form('"{tmp}/with a space/python3" -s'), ["tool", "one two"]),
    "beside": (shell_form(f"{BESIDE}'python'"), ["tool"]),
    "bash": (shell_form("{bin}/python", BASH), ["tool"]),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_console_script_is_started_alike(
    name: str,
    folder: Path,
    tmp_path: Path,
    environ: dict[str, str],
    park: Callable[..., Parked],
) -> None:
    """A script by each first line sees the same warm as cold: argv, paths, names, environment."""
    head, argv = HEADS[name]
    if BASH in head and not os.path.exists(BASH):
        pytest.skip("no bash")
    head = head.format(bin=folder, tmp=tmp_path)
    write(folder / "tool", head, PROBE.read_text())
    write(tmp_path / "a-very-long-name-of-a-tool", head, PROBE.read_text())
    (tmp_path / "linked").symlink_to("venv/bin/tool")
    env = {**environ, "PYTHONHASHSEED": "7", "PATH": f"{folder}:/usr/bin:/bin"}
    assert compare(argv, tmp_path, env, park) == {}


def test_the_programs_own_environment_stays(
    folder: Path, tmp_path: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """A first line that is edited after the parking is a cold launch."""
    tool = write(folder / "tool", f"#!{PYTHON}\n", "print('ran')\n")
    env = {**environ, "PATH": f"{folder}:/usr/bin:/bin"}
    parked = park(["tool"], env)
    assert "parked" in parked.hear()
    write(tool, f"#!{PYTHON} -O\n", "print('ran')\n")
    assert parked.go(tmp_path / "log") == {"refused": "the command has changed"}
    assert run_cold(["tool"], env, cwd=tmp_path, log=tmp_path / "log") == 0
