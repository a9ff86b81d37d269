"""Which commands are Python programs, and why the others are launched cold."""

import os
import sys
from pathlib import Path

import pytest

from supervisor.standby import command
from supervisor.standby.command import Cold, PythonCommand, parse

ENVIRON = {"PATH": os.pathsep.join(["/nonexistent", os.path.dirname(sys.executable)])}


@pytest.mark.parametrize(
    ("words", "options", "kind", "stem", "target", "args"),
    [
        ("train.py", [], "script", "", "train.py", []),
        ("-u train.py -u --lr 1", ["-u"], "script", "", "train.py", ["-u", "--lr", "1"]),
        ("-uOB -W error -X dev a.py",
         ["-uOB", "-W", "error", "-X", "dev"], "script", "", "a.py", []),
        ("-Werror -Xutf8=1 -P a.py b", ["-Werror", "-Xutf8=1", "-P"], "script", "", "a.py", ["b"]),
        ("-- a.py", ["--"], "script", "", "a.py", []),
        ("--check-hash-based-pycs never a.py",
         ["--check-hash-based-pycs", "never"], "script", "", "a.py", []),
        ("-m train --config x", ["-m"], "module", "", "train", ["--config", "x"]),
        ("-um train -c x", ["-um"], "module", "", "train", ["-c", "x"]),
        ("-mtrain -m", [], "module", "-m", "train", ["-m"]),
        ("-u -sOmtrain.cli", ["-u"], "module", "-sOm", "train.cli", []),
        ("-bbqd -c pass -m", ["-bbqd", "-c"], "code", "", "pass", ["-m"]),
        ("-cpass", [], "code", "-c", "pass", []),
        ("-uW ignore -m x", ["-uW", "ignore", "-m"], "module", "", "x", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_program_is_recognized(
    words: str, options: list[str], kind: str, stem: str, target: str, args: list[str]
) -> None:
    """Options in each form that Python takes, the kind of program, and its own words are found."""
    found = parse(["python", *words.split()], ENVIRON)
    expected = PythonCommand(
        os.path.join(os.path.dirname(sys.executable), "python"),
        tuple(options), kind, stem, target, tuple(args), ("python", *options),
    )  # fmt: skip
    assert found == expected


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ([], "an empty command is not Python"),
        (["torchrun", "train.py"], "torchrun is not Python"),
        (["env", "A=1", "python", "train.py"], "env is not Python"),
        (["python2", "train.py"], "python2 is not Python"),
        (["python3.99", "train.py"], "python3.99 is not found"),
        (["./python", "train.py"], "./python is not found"),
        (["python"], "no program is named"),
        (["python", "-u"], "no program is named"),
        (["python", "--"], "no program is named"),
        (["python", "-"], "its program comes from standard input"),
        (["python", "-u", "-"], "its program comes from standard input"),
        (["python", "-i", "train.py"], "-i goes on interactively"),
        (["python", "-ui", "train.py"], "-i goes on interactively"),
        (["python", "-W", "error", "-i", "a.py"], "-i goes on interactively"),
        (["python", "-x", "train.py"], "-x skips the script's first line"),
        (["python", "-I", "a.py"], "-I makes Python ignore the variables by which it is parked"),
        (["python", "-E", "a.py"], "-E makes Python ignore the variables by which it is parked"),
        (["python", "-S", "a.py"], "-S starts Python without `site`, where it is parked"),
        (["python", "-Z", "train.py"], "-Z is an unknown option"),
        (["python", "--version"], "--version is no option of a program"),
        (["python", "-X", "importtime", "a.py"], "-X importtime prints every import"),
        (["python", "-Ximporttime", "a.py"], "-X importtime prints every import"),
        (["python", "-W"], "-W has no value"),
        (["python", "-m"], "-m has no value"),
        (["python", "app.pyz"], "app.pyz is a directory or an archive, not a script"),
        (["python", "/tmp"], "/tmp is a directory or an archive, not a script"),
    ],
)
def test_a_command_that_can_only_be_launched_cold(argv: list[str], reason: str) -> None:
    """Each command that is launched cold has its reason."""
    assert parse(argv, ENVIRON) == Cold(reason)


def test_the_executable_is_the_attempts(tmp_path: Path) -> None:
    """The attempt's PATH and directory find the executable, as execvp(3) does."""
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    python.write_text("")
    assert isinstance(parse(["python3", "a.py"], {"PATH": str(tmp_path / "bin")}), Cold)
    python.chmod(0o755)
    for argv, environ in (
        (["python3", "a.py"], {"PATH": f"/nonexistent:{tmp_path / 'bin'}"}),
        (["python3", "a.py"], {"PATH": "bin"}),
        (["bin/python3", "a.py"], {"PATH": ""}),
        ([str(python), "a.py"], {}),
    ):
        found = command.parse(argv, environ, str(tmp_path))
        assert isinstance(found, PythonCommand)
        assert found.executable == str(python)
