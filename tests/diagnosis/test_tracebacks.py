"""Tracebacks of real programs, and tracebacks that only clusters print."""

import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.core.vocabulary import Failure
from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import Diagnosis, ExitEvidence
from supervisor.diagnosis.python_traceback import find_chains

pytestmark = pytest.mark.timeout(180)

PROGRAMS = {
    "direct": (
        "def a(): raise OSError(28, 'No space left on device')\n"
        "def b():\n    try: a()\n    except OSError as e: raise RuntimeError('save') from e\nb()\n",
        Failure.DISK_FULL, "OSError", "direct.py:a"),
    "context": (
        "def b():\n    try: {}['k']\n    except KeyError: raise ValueError('second')\nb()\n",
        Failure.EXCEPTION, "KeyError", "context.py:b"),
    "syntax": ("def f(:\n  pass\n", Failure.CONFIGURATION, "SyntaxError", "syntax.py:<module>"),
    "indent": ("def f():\npass\n", Failure.CONFIGURATION, "IndentationError", "indent.py:<module>"),
    "missing": ("import no_such_module_at_all\n", Failure.CONFIGURATION, "ModuleNotFoundError",
                "missing.py:<module>"),
    "recursion": ("def f(): f()\nf()\n", Failure.EXCEPTION, "RecursionError", "recursion.py:f"),
    "multiline": ("raise ValueError('one\\ntwo\\n  three')\n", Failure.EXCEPTION, "ValueError",
                  "multiline.py:<module>"),
    "empty": ("def f(): assert False\nf()\n", Failure.EXCEPTION, "AssertionError", "empty.py:f"),
    "note": ("e = ValueError('x'); e.add_note('a: b'); raise e\n", Failure.EXCEPTION, "ValueError",
             "note.py:<module>"),
    "group": (
        "def f(): raise ValueError('in')\nes = []\ntry: f()\nexcept ValueError as e: es.append(e)\n"
        "raise ExceptionGroup('o', [ExceptionGroup('n', es), OSError(5, 'Input/output error')])\n",
        Failure.EXCEPTION, "ValueError", "group.py:f"),
    "bare_group": ("raise ExceptionGroup('o', [TypeError('bare')])\n", Failure.EXCEPTION,
                   "TypeError", "bare_group.py:<module>"),
    "thread": (
        "import threading\ndef f(): {}['x']\nt = threading.Thread(target=f); t.start(); t.join()\n"
        "raise ValueError('main')\n", Failure.CONFIGURATION, "ValueError", "thread.py:<module>"),
    "ignored": (
        "class A:\n    def __del__(self): raise KeyError('late')\n"
        "a = A()\ndef f(): raise ValueError('x')\nf()\n",
        Failure.EXCEPTION, "ValueError", "ignored.py:f"),
    "pool": (
        "import multiprocessing as m\ndef f(x): return 1 / x\n"
        "if __name__ == '__main__':\n    with m.Pool(1) as p: p.map(f, [0])\n",
        Failure.EXCEPTION, "ZeroDivisionError", "pool.py:f"),
    "arguments": (
        "import argparse; p = argparse.ArgumentParser(); p.add_argument('--lr', type=float)\n"
        "p.parse_args(['--lr', 'fast'])\n", Failure.CONFIGURATION, None, None),
    "memory": ("x = bytearray(1 << 60)\n", Failure.HOST_OUT_OF_MEMORY, "MemoryError",
               "memory.py:<module>"),
}  # fmt: skip


def printed(folder: Path, name: str, source: str) -> tuple[int, list[str]]:
    """Exit code and stderr of a real program."""
    script = folder / f"{name}.py"
    script.write_text(source)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=40, check=False
    )
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("label", ["", "[rank1]: ", "[default1]:", "node-7: "])
def test_what_python_prints_is_read(tmp_path: Path, name: str, label: str) -> None:
    """Type and innermost frame of the root are found under any label."""
    source, failure, exception, frame = PROGRAMS[name]
    code, lines = printed(tmp_path, name, source)
    is_script = label == "node-7: " and "Traceback" not in "".join(lines)
    if is_script:
        pytest.skip("a label is learnt from a traceback's header, which this has not")
    found = diagnose(ExitEvidence(code, None, [label + line for line in lines]))
    assert (found.failure, found.exception, found.frame) == (failure, exception, frame)


@pytest.mark.parametrize(
    "stamp",
    [
        "2025-01-01 10:00:00,123 ",
        "2025-01-01T10:00:00.123456Z ",
        "[2025-01-01 10:00:00] ",
        "10:00:00 ",
    ],
)
def test_stamps_on_each_line(tmp_path: Path, stamp: str) -> None:
    """A collector's time stamps do not hide the traceback's shape."""
    code, lines = printed(tmp_path, "direct", PROGRAMS["direct"][0])
    found = diagnose(ExitEvidence(code, None, [stamp + line for line in lines]))
    assert (found.failure, found.frame) == (Failure.DISK_FULL, "direct.py:a")


def worker_error(message: str, *, original: str) -> Diagnosis:
    """A data-loader worker's exception as torch raises it again in the main process."""
    return diagnose(
        ExitEvidence(
            1,
            None,
            [
                "Traceback (most recent call last):",
                '  File "/job/train.py", line 9, in main',
                "    for batch in loader:",
                '  File "/t/_utils.py", line 7, in reraise',
                "    raise exception",
                message,
                "Original Traceback (most recent call last):",
                '  File "/t/worker.py", line 351, in _worker_loop',
                "    data = fetcher.fetch(index)",
                '  File "/job/data.py", line 6, in read',
                "    return open(path)",
                original,
                "",
            ],
            True,
        )
    )


def test_a_workers_original_traceback_is_the_root() -> None:
    """The diagnosis names the frame in the worker, not the frame that raised it again."""
    found = worker_error(
        "OSError: Caught OSError in DataLoader worker process 3.",
        original="OSError: [Errno 24] Too many open files: '/d/1'",
    )
    assert (found.failure, found.frame) == (Failure.TOO_MANY_OPEN_FILES, "data.py:read")
    found = worker_error(
        "KeyError: Caught KeyError in DataLoader worker process 3.", original="KeyError: 'x'"
    )
    assert (found.failure, found.exception, found.frame) == (
        Failure.EXCEPTION,
        "KeyError",
        "data.py:read",
    )


def test_a_launchers_own_traceback_is_no_root() -> None:
    """torchrun's, accelerate's and spawn's exceptions only repeat that a child failed."""
    for own in (
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
        "subprocess.CalledProcessError: Command '['python', 't.py']' returned non-zero exit"
        " status 1.",
    ):
        lines = [
            "[rank1]: Traceback (most recent call last):",
            '[rank1]:   File "/job/t.py", line 9, in main',
            "[rank1]:     go()",
            "[rank1]: ValueError: no",
            "Traceback (most recent call last):",
            '  File "/bin/torchrun", line 8, in <module>',
            "    sys.exit(main())",
            own,
        ]
        for order in (lines, lines[4:] + lines[:4]):
            assert diagnose(ExitEvidence(1, None, order, True)).frame == "t.py:main"
    spawn = [
        "Traceback (most recent call last):",
        '  File "/t/spawn.py", line 211, in join',
        "    raise ProcessRaisedException(msg)",
        "torch.multiprocessing.spawn.ProcessRaisedException: ",
        "",
        "-- Process 0 terminated with the following error:",
        "Traceback (most recent call last):",
        '  File "/job/t.py", line 4, in work',
        "    x",
        "ZeroDivisionError: division by zero",
    ]
    assert diagnose(ExitEvidence(1, None, spawn, True)).frame == "t.py:work"


def test_a_table_with_a_traceback_inside() -> None:
    """torchrun's table prints a recorded traceback indented, behind its own label."""
    chains = find_chains(
        [
            "Root Cause (first observed failure):",
            "[0]:",
            "  exitcode  : 1 (pid: 8)",
            "  traceback : Traceback (most recent call last):",
            '    File "/t/errors/__init__.py", line 346, in wrapper',
            "      return f(*args, **kwargs)",
            '    File "/job/t.py", line 4, in main',
            "      boom()",
            "  RuntimeError: boom",
            "",
            "=====",
        ]
    )
    assert [(c.raised[0].exception, c.raised[0].frame) for c in chains] == [
        ("RuntimeError", "t.py:main")
    ]


def test_foreign_lines_inside_a_traceback() -> None:
    """Unlabelled lines of another process come between; an unfinished traceback does not count."""
    lines = [
        "Traceback (most recent call last):",
        '  File "/job/t.py", line 4, in main',
        "loading shard 4 of 9",
        "    boom()",
        "RuntimeError: boom",
    ]
    assert diagnose(ExitEvidence(1, None, lines, True)).frame == "t.py:main"
    assert find_chains(lines[:2]) == []


def test_a_progress_bar_before_the_header() -> None:
    """tqdm leaves its bar without a line end, so a traceback begins on the bar's line."""
    lines = [
        " 12%|#2  | 120/1000 [00:10<01:13, 12.01it/s]Traceback (most recent call last):",
        '  File "/job/t.py", line 4, in main',
        "    boom()",
        "RuntimeError: boom",
        " 12%|#2  | 120/1000 [00:10<01:13, 12.01it/s]",
    ]
    assert diagnose(ExitEvidence(1, None, lines, True)).frame == "t.py:main"
