"""A warm program ends like a cold one, with the same log to the letter and the same exit."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from standin import Parked, run_cold

SCRIPTS = {
    "exit code": "import sys\nsys.exit(3)",
    "exit with a text": "import sys\nsys.exit('no data')",
    "uncaught": "def f():\n    raise KeyError('x')\n\n\ntry:\n    f()\nexcept KeyError as e:\n"
    "    raise ValueError('y') from e",
    "interrupt": "raise KeyboardInterrupt",
    "interrupted": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('on')",
    "terminated": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "at once": "import os\nprint('lost or not')\nos._exit(4)",
    "at exit": "import atexit, sys\nm = sys.modules['__main__']\n"
    "atexit.register(lambda: print(hasattr(m, '__file__'), sys.argv))",
    "in a thread": "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='t')\n"
    "t.start()\nt.join()",
    "a thread outlives": "import threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()",
    "syntax": "x = 1\nif x\n    pass",
    "encoding": "# coding: latin-1\nprint(ascii('\u00e9'))\nprint('\ud800')",
    "recursion": "def f(n):\n    global d\n    d = n\n    f(n + 1)\n\n\ntry:\n    f(0)\n"
    "except RecursionError:\n    print(d)",
    "unraisable": "class A:\n    def __del__(self):\n        1 / 0\n\n\na = A()\ndel a",
    "at the end": "class A:\n    def __del__(self):\n        print('gone', __name__)\n\n\na = A()",
    "warning": "import warnings\nwarnings.warn('old', stacklevel=9)\nwarnings.warn('old')",
    "stacks": "import faulthandler, traceback\nfaulthandler.dump_traceback()\n"
    "traceback.print_stack()",
    "abort": "import faulthandler, os\nfaulthandler.enable()\nos.abort()",
    "order": "import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('three')",
    "no input": "print(repr(open(0).read()))\ninput()",
    "executor": "from concurrent.futures import ThreadPoolExecutor as E\n"
    "with E(1) as e:\n    print(e.submit(pow, 2, 3).result())",
    "asyncio": "import asyncio\n\n\nasync def f():\n    raise OSError('x')\n\n\nasyncio.run(f())",
    "exec": "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'print(1)'])",
    "async exit": "import os\nif os.fork() == 0:\n    print('child')\n    raise SystemExit(5)\n"
    "print(os.waitstatus_to_exitcode(os.wait()[1]))",
}
PRELOADED = ["json", "logging", "asyncio", "concurrent.futures.thread"]


def comparable(text: str) -> str:
    """Replace addresses and thread numbers, which are new in every process."""
    return re.sub(r"0x[0-9a-f]+|Thread-\d+|'_rewind.*'", "0x", text)


def ends_alike(
    argv: list[str], folder: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> tuple[int, str]:
    """Run a command cold and warm in one folder, and return their common exit code and log."""
    attempt = {**environ, "SUPERVISOR_ATTEMPT": "3"}
    code = run_cold(argv, attempt, cwd=folder, log=folder / "cold.log")
    parked = park(argv, environ, cwd=folder, preload=PRELOADED)
    assert "parked" in parked.hear()
    assert parked.go(folder / "warm.log", environ=attempt) == {"going": True}
    assert parked.wait() == code
    cold, warm = ((folder / f"{way}.log").read_text() for way in ("cold", "warm"))
    assert comparable(warm) == comparable(cold)
    return code, cold


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_ends_alike(
    name: str, tmp_path: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """Exit codes, tracebacks, output at exit and lost output are the same, cold and warm."""
    (tmp_path / "script.py").write_text(SCRIPTS[name], "utf-8", "surrogatepass")
    ends_alike([sys.executable, "script.py"], tmp_path, environ, park)


@pytest.mark.parametrize("name", ["uncaught", "interrupt", "exit with a text", "stacks", "order"])
@pytest.mark.parametrize("kind", ["module", "package", "code"])
def test_other_programs_end_alike(
    name: str, kind: str, tmp_path: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """Modules, packages and code on the command line end alike, cold and warm."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "__main__.py").write_text("from . import part\n" + SCRIPTS[name])
    (tmp_path / "package" / "part.py").write_text("")
    (tmp_path / "module.py").write_text(SCRIPTS[name])
    words = {"module": ["-m", "module"], "package": ["-um", "package"], "code": ["-c"]}[kind]
    code = [SCRIPTS[name]] if kind == "code" else []
    ends_alike([sys.executable, *words, *code], tmp_path, environ, park)


@pytest.mark.parametrize(
    "words",
    [["missing.py"], ["-m", "missing"], ["-m", "package.missing"], ["-m", "failing"],
     ["-m", "json.tool", "/nonexistent"]],
    ids=lambda words: words[-1],
)  # fmt: skip
def test_a_program_that_cannot_start_says_so_alike(
    words: list[str], tmp_path: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """A missing script or module, or a failing package, is reported in Python's own words."""
    for name, text in (("package", ""), ("failing", "1 / 0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
        (tmp_path / name / "__main__.py").write_text("")
    code, log = ends_alike([sys.executable, *words], tmp_path, environ, park)
    assert code != 0
    assert log


def test_every_python_here_ends_alike(
    tmp_path: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """The program's words are found in the memory of each installed Python version."""
    (tmp_path / "script.py").write_text(SCRIPTS["uncaught"])
    versions = Path(sys.base_prefix).parent
    found = [p for p in versions.glob("3.1[1-9]*/bin/python3") if os.access(p, os.X_OK)]
    for number, python in enumerate([Path(sys.executable), *sorted(found)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "script.py").write_text(SCRIPTS["uncaught"])
        code, log = ends_alike([str(python), "script.py"], folder, environ, park)
        assert code == 1
        assert log.startswith("Traceback")
