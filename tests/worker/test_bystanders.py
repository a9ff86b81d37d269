"""Data-loader workers inherit handlers and page by fork; they must use neither."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from supervisor.worker.page_reading import read_page

if TYPE_CHECKING:
    from tests.worker.conftest import Trainers

FORKED = """
    import os, signal, sys, time
    from supervisor.worker import attach
    run = attach()
    kept = run.beat
    run.beat(step=5)
    child = os.fork()
    if child == 0:
        kept(step=99)
        run.beat(step=99)
        with run.phase("save"):
            pass
        run.request_stop()
        attach().finish(step=99)
        default = signal.getsignal(signal.SIGTERM).name
        # One write each: the two processes share the pipe.
        os.write(1, f"{attach().attached} {run.should_stop} {default}\\n".encode())
        time.sleep(1000)
    os.write(1, f"{child}\\n".encode())
    _, status = os.waitpid(child, 0)
    print(os.WTERMSIG(status), run.should_stop, flush=True)
"""


def test_a_forked_child_leaves_the_page_alone_and_can_be_ended(trainers: Trainers) -> None:
    """A child's beats reach no page, SIGTERM kills the child, and the trainer goes on."""
    process = trainers.start(FORKED)
    lines = {trainers.line(process), trainers.line(process)}
    assert "False True SIG_DFL" in lines
    (child,) = lines - {"False True SIG_DFL"}
    os.kill(int(child), signal.SIGTERM)
    assert trainers.line(process) == f"{signal.SIGTERM.value} False"
    assert process.wait(90) == 0
    page = read_page(trainers.heartbeats / "rank-0")
    assert page is not None
    assert (page.step, page.pid, page.outcome, page.last_save_ms) == (5, process.pid, None, None)
    assert not page.stop_seen


def test_a_fork_unseen_by_python_dies_of_the_signal(trainers: Trainers) -> None:
    """A C library's fork runs no hook; the inherited handler then ends the child itself."""
    process = trainers.start(
        """
        import ctypes, os, time
        from supervisor.worker import attach
        run = attach()
        child = ctypes.PyDLL(None).fork()
        if child == 0:
            print(os.getpid(), flush=True)
            while True:
                time.sleep(0.01)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status), run.should_stop, flush=True)
        """
    )
    os.kill(int(trainers.line(process)), signal.SIGTERM)
    assert trainers.line(process) == f"{signal.SIGTERM.value} False"


def test_a_spawned_worker_importing_the_script_is_no_rank(trainers: Trainers) -> None:
    """attach() at the top of a script, run again in a spawned worker, does not take the page."""
    process = trainers.start(
        """
        import multiprocessing
        from supervisor.worker import attach
        run = attach()
        def work(queue): queue.put(run.attached)
        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            worker = context.Process(target=work, args=(queue,))
            worker.start()
            print(queue.get(), run.attached, flush=True)
            worker.join()
        """
    )
    assert trainers.line(process) == "False True"
    assert process.wait(90) == 0
    page = read_page(trainers.heartbeats / "rank-0")
    assert page is not None
    assert page.pid == process.pid


POOL = """
    import multiprocessing, os, signal, sys, time
    from supervisor.worker import attach, ignore_stop_signals
    run = attach()
    def work(ready):
        ignore_stop_signals()
        ready.put(os.getpid())
        time.sleep(1000)
    context = multiprocessing.get_context("fork")
    ready = context.SimpleQueue()
    worker = context.Process(target=work, args=(ready,), daemon=True)
    worker.start()
    print(ready.get(), flush=True)
    while not run.should_stop:
        time.sleep(0.01)
    print(worker.is_alive(), flush=True)
    run.exit_preempted()
"""


def test_a_worker_survives_what_is_sent_to_the_group(trainers: Trainers) -> None:
    """The worker outlives every stop signal of the group, and the trainer can still exit."""
    process = trainers.start(POOL)
    worker = int(trainers.line(process))
    for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
        os.kill(worker, number)
    os.killpg(process.pid, signal.SIGTERM)
    assert trainers.line(process) == "True"
    began = time.monotonic()
    assert process.wait(90) == 75
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


LOADER = """
    import time
    from supervisor.worker import attach, ignore_stop_signals
    run = attach()
    from torch.utils.data import DataLoader
    class Numbers:
        def __len__(self): return 100_000
        def __getitem__(self, index): time.sleep(0.001); return index
    loader = DataLoader(Numbers(), batch_size=4, num_workers=2, persistent_workers={persistent},
                        multiprocessing_context="{context}", worker_init_fn=ignore_stop_signals)
    def train():
        for step, batch in enumerate(loader):
            run.beat(step=step)
            if step == 3:
                print("ready", flush=True)
            if run.should_stop:
                run.exit_preempted(step=step)
    if __name__ == "__main__":
        train()
"""


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_torch_loaders_survive_and_shut_down(
    trainers: Trainers, context: str, persistent: bool
) -> None:
    """A stop to the whole group: the trainer leaves with 75, quickly, and leaves no worker."""
    pytest.importorskip("torch")
    process = trainers.start(LOADER.format(context=context, persistent=persistent))
    assert trainers.line(process) == "ready"
    for _ in range(3):
        os.killpg(process.pid, signal.SIGTERM)
    began = time.monotonic()
    _, err = process.communicate(timeout=90)
    assert (process.returncode, err) == (75, "")
    assert time.monotonic() - began < 30
    trainers.eventually(lambda: not group(process.pid))


def group(pgid: int) -> list[int]:
    """The process group's id while a process of the group lives; else nothing."""
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return []
    return [pgid]
