"""Logs that end with an unhandled traceback, in the shapes of pipes, filters and launchers."""

import subprocess
import sys

import pytest

from supervisor.diagnosis.last_words import Unhandled, find_unhandled

STEPS = [f"step {n} loss 0.1" for n in range(1, 26)]
TRACE = [
    "Traceback (most recent call last):",
    '  File "/w/t.py", line 40, in <module>',
    "    main()",
    '  File "/w/t.py", line 31, in main',
    "    loss = model(batch)",
    "RuntimeError: bad batch",
]
HANDLED = [TRACE[0], *TRACE[3:]]
LAST = "RuntimeError: bad batch"
BOX = [
    "╭──────────── Traceback (most recent call last) ────────────╮",
    "│ /w/t.py:13 in <module>                                    │",
    "│   12 │                                                    │",
    '│ ❱ 13 raise RuntimeError("bad batch")                      │',
    "╰───────────────────────────────────────────────────────────╯",
    LAST,
]


def labelled(label: str, lines: list[str]) -> list[str]:
    """The lines with a filter's label."""
    return [label + line for line in lines]


CERTAIN = {
    "alone": [*STEPS, *TRACE],
    "no steps": TRACE,
    "blank lines": [*STEPS, *TRACE, "", "   "],
    "sed": labelled("[trainer] ", [*STEPS, *TRACE]),
    "ts": labelled("Nov 28 11:13:17 ", [*STEPS, *TRACE]),
    "stamps": labelled("2026-11-28 11:13:17 ", [*STEPS, *TRACE]),
    "srun -l": labelled("0: ", [*STEPS, *TRACE]),
    "rank": labelled("[rank0]: ", [*STEPS, *TRACE]),
    "wandb": [*STEPS, *TRACE, "wandb: ", "wandb: 🚀 View run x at: https://w", "wandb: Synced"],
    "a bar drawn again": [*STEPS, *TRACE, " 62%|██████▎   | 25/40 [00:01<00:00, 19.2it/s]"],
    "bar in one line": ["\r".join([" 60%|██  | 24/40 [00:01<00:00]", TRACE[0]]), *TRACE[1:]],
    "shell": [*STEPS, *TRACE, "run.sh: line 3: 12345 Killed                  python t.py"],
    "resource tracker": [
        *STEPS,
        *TRACE,
        "/usr/lib/python3.11/multiprocessing/resource_tracker.py:224: UserWarning:"
        " resource_tracker: There appear to be 1 leaked semaphore objects to clean up",
        "  warnings.warn('resource_tracker: There appear to be %d '",
    ],
    "ignored after it": [*STEPS, *TRACE, "Exception ignored in: <function X.__del__>", *HANDLED],
    "nccl": [*STEPS, *TRACE, "[rank0]:[W1128 11:13:17.1 ProcessGroupNCCL.cpp:1250] Warning: x"],
    "a child process": [
        *STEPS,
        "Process SpawnProcess-1:",
        TRACE[0],
        '  File "/usr/lib/python3.11/multiprocessing/process.py", line 314, in _bootstrap',
        "    self.run()",
        LAST,
    ],
    "module": [
        TRACE[0],
        '  File "<frozen runpy>", line 198, in _run_module_as_main',
        *TRACE[3:],
    ],
    "chained": [*STEPS, *HANDLED, "", "During handling of the above exception, another exception"
                " occurred:", "", *TRACE],
    "rich": [*STEPS, *BOX],
    "interrupt": [*STEPS, *TRACE[:-1], "KeyboardInterrupt"],
    "syntax": ['  File "/w/t.py", line 3', "    def f(:", "          ^", "SyntaxError: bad syntax"],
    "cuda": [*STEPS, *TRACE, "CUDA kernel errors might be asynchronously reported at some other",
             "For debugging consider passing CUDA_LAUNCH_BLOCKING=1", "Compile with `TORCH_USE_"],
    "a message of several lines": [*STEPS, *TRACE, "  with more of it", "  and more"],
}  # fmt: skip

PERHAPS = {
    "done": [*STEPS, *TRACE, "job finished"],
    "print_exc in main": [*STEPS, *HANDLED],
    "logged at the end": [*STEPS, "2026-11-28 11:00:00 ERROR upload failed", *TRACE],
}

NONE = {
    "nothing": STEPS,
    "empty": [],
    "a thread": [*STEPS, "Exception in thread Thread-1 (upload):", *TRACE],
    "ignored": [*STEPS, "Exception ignored in: <function X.__del__ at 0x7f>", *TRACE],
    "atexit": [*STEPS, "Error in atexit._run_exitfuncs:", *TRACE],
    "asyncio": [*STEPS, "Task exception was never retrieved", "future: <Task finished>", *TRACE],
    "logging": [*STEPS, "--- Logging error ---", *TRACE, "Call stack:", "Message: 'x'"],
    "logger.exception": [*STEPS, "ERROR:root:upload failed", *HANDLED],
    "survived": [*STEPS[:10], *TRACE, *STEPS[10:]],
    "survived, then logs": [*STEPS, *TRACE, "2026-11-28 11:00:00 INFO saved the model"],
    "survived, then much": [*STEPS, *HANDLED, *(f"metric {n}: fine" for n in range(9))],
    "exit": [*STEPS, *TRACE[:-1], "SystemExit: 0"],
    "a mention": [*STEPS, "Traceback (most recent call last) is what Python prints"],
}


@pytest.mark.parametrize("name", CERTAIN)
def test_last_words(name: str) -> None:
    """The traceback is certain; later lines of launchers and loggers are ignored."""
    found = find_unhandled(CERTAIN[name])
    assert found is not None
    assert found.is_certain
    assert found.line


@pytest.mark.parametrize("name", PERHAPS)
def test_last_words_that_a_trainer_may_have_survived(name: str) -> None:
    """A traceback near the end is found, but whether all steps were saved must decide."""
    assert find_unhandled(PERHAPS[name]) == Unhandled(LAST, is_certain=False)


@pytest.mark.parametrize(
    ("word", "code"), [("Killed", 137), ("Segmentation fault", 139), ("Terminated", None)]
)
@pytest.mark.parametrize("after", [[], ["job finished"], ["step 26"]])
def test_a_shells_word_of_a_death(word: str, code: int | None, after: list[str]) -> None:
    """A shell's line about a death is never certain: it may be about a script's own service."""
    line = f"run.sh: line 3: 12345 {word}                  python t.py"
    found = find_unhandled([*STEPS, line, *after])
    expected = None if code is None or after == ["step 26"] else Unhandled(line, False, code)
    assert found == expected


@pytest.mark.parametrize(
    ("word", "code"),
    [("Killed", 137), ("Terminated", 143), ("Aborted", 134), ("Aborted (core dumped)", 134),
     ("Segmentation fault (core dumped)", 139), ("Bus error", 135)],
)  # fmt: skip
def test_a_bare_word_of_a_death_is_the_last_line_and_never_certain(word: str, code: int) -> None:
    """dash prints the bare word only, so whether all steps were saved must decide."""
    assert find_unhandled([*STEPS, word, ""]) == Unhandled(word, False, code)
    assert find_unhandled([*STEPS, word, "step 26 loss 0.1"]) is None
    assert find_unhandled([*STEPS, f"sample: {word}"]) is None
    assert find_unhandled([*STEPS, f"{word} by the boss"]) is None


USAGE = ["usage: t.py [-h] [--lr LR]", "            [--depth DEPTH]"]
FATAL = [
    "Fatal Python error: Segmentation fault",
    "",
    "Current thread 0x00007f9672dc7b80 (most recent call first):",
    '  File "/w/t.py", line 3 in main',
    "",
    "Extension modules: numpy.core._multiarray_umath (total: 1)",
]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([*USAGE, "t.py: error: unrecognized arguments: --x"], 2),
        (["loading", *USAGE, "t.py: error: unrecognized arguments: --x", ""], 2),
        (["Usage: t.py [OPTIONS]", "Try 't.py --help' for help.", "", "Error: No such option"], 2),
        (["python: can't open file '/w/x.py': [Errno 2] No such file or directory"], 2),
        (["/usr/bin/python3.11: No module named trainer"], 2),
        (["sh: 1: python: not found"], 127),
        (["bash: line 1: python3: command not found"], 127),
    ],
)
def test_a_program_that_did_not_start_says_so_last(lines: list[str], code: int) -> None:
    """The line counts only before any step; later it is about an evaluation or an upload."""
    found = find_unhandled(lines)
    assert found is not None
    assert (found.is_certain, found.code) == (True, code)
    assert found.line == next(line for line in reversed(lines) if line)
    assert find_unhandled(lines, has_begun=True) is None
    assert find_unhandled([*lines, "all the same: 3 of 3 done"]) is None


@pytest.mark.parametrize(
    "lines",
    [
        ["t.py: error: rate too small, using 0.1"],
        [*USAGE, "training"],
        ["sh: 1: notify-send: not found"],
        ["Error: no metrics server"],
    ],
)
def test_other_last_words_of_trouble_are_none(lines: list[str]) -> None:
    """These lines lack an error, lack a usage text, or name another missing program."""
    assert find_unhandled(lines) is None


@pytest.mark.parametrize("shell", [[], ["Segmentation fault"]])
def test_an_interpreters_own_death(shell: list[str]) -> None:
    """A fatal error is certain before a step; later it may have come at exit, with all saved."""
    assert find_unhandled([*FATAL, *shell]) == Unhandled(FATAL[0], True, 139)
    found = find_unhandled([*STEPS, *FATAL, *shell], has_begun=True)
    assert found == Unhandled(FATAL[0], False, 139)
    assert find_unhandled([*FATAL, "restarted it", *STEPS], has_begun=True) is None


@pytest.mark.parametrize("name", NONE)
def test_no_last_words(name: str) -> None:
    """Python survives these exceptions, a logger reports them, or training went on after them."""
    assert find_unhandled(NONE[name]) is None


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("raise ValueError('x')", True),
        ("import threading as t; t.Thread(target=lambda: 1 / 0).start()", None),
        ("import atexit; atexit.register(lambda: 1 / 0)", None),
        ("import logging\ntry: 1 / 0\nexcept Exception: logging.exception('x')", False),
        ("def f():\n try: 1 / 0\n except Exception: logging.exception('x')\nimport logging; f()",
         None),
        ("class X:\n def __del__(self): 1 / 0\nX()", None),
        ("import asyncio\nasync def f(): 1 / 0\nasync def g():\n t = asyncio.ensure_future(f())\n"
         " await asyncio.sleep(0.01)\nasyncio.run(g())", None),
        ("import multiprocessing as m\ndef f(): 1 / 0\n"
         "p = m.get_context('fork').Process(target=f); p.start(); p.join()", True),
    ],
)  # fmt: skip
def test_what_this_python_prints(script: str, expected: bool | None) -> None:
    """The test runs real interpreters, so that a new version's wording is noticed."""
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False
    )
    found = find_unhandled(["step 1", *said.stderr.splitlines()])
    assert (None if found is None else found.is_certain) is expected
