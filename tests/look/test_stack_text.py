"""Stacks as text: what a comparison uses, and what is read from it."""

import pytest

from supervisor.daemon.look.stack_text import (
    collective,
    is_in_backward,
    main_thread,
    parse,
    waits_for_child,
)

FAULTHANDLER = """Thread 0x00007f01 (most recent call first):
  File "/lib/python3.11/threading.py", line 331 in wait
  File "/lib/python3.11/threading.py", line 1002 in _bootstrap

Current thread 0x00007f02 (most recent call first):
  File "/x/torch/distributed/distributed_c10d.py", line 2806 in all_reduce
  File "/x/torch/distributed/c10d_logger.py", line 81 in wrapper
  File "train.py", line 9 in <module>
"""
PY_SPY = """Process 7: python train.py
Python v3.11.7 (/usr/bin/python3.11)

Thread 7 (idle): "MainThread"
    all_reduce (torch/distributed/distributed_c10d.py:2806)
    wrapper (torch/distributed/c10d_logger.py:81)
    <module> (train.py:9)
Thread 9 (active): "Thread-1"
    wait (threading.py:331)
    _bootstrap (threading.py:1002)
"""


@pytest.mark.parametrize("text", [FAULTHANDLER, PY_SPY], ids=["faulthandler", "py-spy"])
def test_both_are_read_alike(text: str) -> None:
    """Faulthandler's and py-spy's text give two threads; the main one waits for other ranks."""
    stacks = parse(text)
    assert len(stacks) == 2
    assert main_thread(stacks)[-1] == ("<module>", "train.py", 9)
    assert collective(stacks) == "all_reduce"
    assert not waits_for_child(stacks)


def test_what_differs_between_two_looks_at_a_sleeper_is_left_out() -> None:
    """The thread that took the signal, and its processor state, are left out."""
    other = FAULTHANDLER.replace("Current thread", "Thread").replace("Thread 0x00007f01", "X", 0)
    assert parse(FAULTHANDLER) == parse(other)
    assert parse(PY_SPY) == parse(PY_SPY.replace("(idle)", "(active)"))
    assert parse(PY_SPY) != parse(PY_SPY.replace("train.py:9", "train.py:10"))


@pytest.mark.parametrize(
    ("frame", "is_one"),
    [
        ('"/x/torch/distributed/fsdp/_runtime_utils.py", line 7 in _post_forward', False),
        ('"/x/torch/cuda/__init__.py", line 7 in synchronize', True),
        ('"/x/torch/nn/parallel/distributed.py", line 7 in _sync_buffers', True),
        ('"/home/u/distributed_train.py", line 7 in all_reduce', False),
    ],
)
def test_which_frames_wait_for_other_ranks(frame: str, is_one: bool) -> None:
    """Only innermost frames of the library that waits count."""
    text = (
        f'Thread 0x1 (most recent call first):\n  File {frame}\n  File "t.py", line 1 in <module>\n'
    )
    assert (collective(parse(text)) is not None) is is_one


def test_a_loop_that_computes_inside_of_a_wrapper_does_not_wait() -> None:
    """A collective counts only as the innermost frame."""
    inner = "".join(f'  File "model.py", line {n} in forward\n' for n in range(5))
    text = FAULTHANDLER.replace('  File "/x/torch/distributed/distributed', inner + '  File "/x/d')
    assert collective(parse(text)) is None


def test_children_and_backward_passes() -> None:
    """Stacks show a wait for a child, or a backward pass, which counters do not show."""
    head = "Thread 0x1 (most recent call first):\n"
    child = head + '  File "/lib/python3.11/subprocess.py", line 2045 in _try_wait\n'
    assert waits_for_child(parse(child))
    backward = head + '  File "/x/torch/autograd/graph.py", line 1 in _engine_run_backward\n'
    assert is_in_backward(parse(backward))
    assert parse("no stacks: py-spy ended with 1\n") == {}
