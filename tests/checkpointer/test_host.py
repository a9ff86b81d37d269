"""Copies within the host: the same bytes from any number of threads, and no wait for a sleeper."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from supervisor.torch import host
from supervisor.torch.host import HostCopier, idle_cores

LARGE = 3 << 20  # float32 items: enough to be worth a second thread


def sources() -> list[torch.Tensor]:
    """Tensors large and small, of several dtypes, non-contiguous, empty and 0-d."""
    generator = torch.Generator().manual_seed(5)
    return [
        torch.randn(LARGE, generator=generator),
        *(torch.randn(100 + index, generator=generator) for index in range(50)),
        torch.randn(1000, 1500, generator=generator).T,
        torch.randn(1500, 1000, generator=generator, dtype=torch.float64),
        torch.randint(256, (5_000_001,), generator=generator, dtype=torch.uint8),
        torch.randn(2_000_000, generator=generator).bfloat16(),
        torch.zeros(0),
        torch.tensor(7),
    ]


@pytest.mark.parametrize("helpers", [0, 1, 3])
def test_every_byte_is_there(helpers: int) -> None:
    """All bytes are copied by any number of threads, and a copier's threads are used again."""
    copier = HostCopier(helpers)
    for _ in range(3):
        given = sources()
        # as_strided: the views have their source's form, as a slot's views do
        views = [torch.empty_strided(one.shape, one.stride(), dtype=one.dtype) for one in given]
        for view in views:
            view.zero_()
        copier(views, given)
        assert all(map(torch.equal, views, given))


def test_pieces_cover_everything_once() -> None:
    """Each byte is in one piece, and no piece is so large that others wait for it."""
    given = sources()
    pieces = list(host._pieces(given, given))
    assert sum(one.nbytes for piece in pieces for one in piece.sources) == sum(
        one.nbytes for one in given
    )
    places = [one.data_ptr() for piece in pieces for one in piece.sources if one.nbytes]
    assert len(places) == len(set(places))
    divisible = [piece for piece in pieces if all(one.is_contiguous() for one in piece.sources)]
    assert max(sum(one.nbytes for one in piece.sources) for piece in divisible) <= 6 << 20
    assert len(pieces) > 8


class SleepingPool:
    """A pool whose threads get no core before the caller has done all pieces."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.submitted: list[Callable[[], None]] = []

    def submit(self, job: Callable[[], None]) -> None:
        """Accept a job, and begin nothing."""
        self.submitted.append(job)


def test_helpers_without_a_core_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller copies every piece, and a helper that begins later finds nothing to do."""
    monkeypatch.setattr(host, "ThreadPoolExecutor", SleepingPool)
    copier = HostCopier(2)
    given = sources()
    views = [torch.zeros_like(one) for one in given]
    copier(views, given)
    assert all(map(torch.equal, views, given))
    pool = copier._pool
    assert isinstance(pool, SleepingPool)
    assert len(pool.submitted) == 2
    given[0].zero_()
    for job in pool.submitted:
        job()
    assert views[0].any()


def test_a_thread_that_is_not_told_of_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool may accept a job and then raise for want of a thread: the job may still run."""
    real, threads = host._copy, list[threading.Thread]()

    class FailingPool:
        def __init__(self, *_: Any, **__: Any) -> None:
            """The pool has one thread already."""

        def submit(self, job: Callable[[], None]) -> None:
            threads.append(threading.Thread(target=job))
            threads[-1].start()
            raise RuntimeError("can't start new thread")

    def slowly(piece: Any) -> None:
        if threading.current_thread() in threads:
            time.sleep(0.5)
        real(piece)

    monkeypatch.setattr(host, "ThreadPoolExecutor", FailingPool)
    monkeypatch.setattr(host, "_copy", slowly)
    given = sources()
    views = [torch.zeros_like(one) for one in given]
    HostCopier(2)(views, given)
    assert all(map(torch.equal, views, given))
    assert len(threads) == 1


def test_no_thread_is_no_failure() -> None:
    """At the interpreter's end or a limit of processes, the caller copies everything."""
    given = sources()
    copier = HostCopier(2)
    copier([torch.zeros_like(one) for one in given], given)
    assert copier._pool is not None
    copier._pool.shutdown()
    views = [torch.zeros_like(one) for one in given]
    copier(views, given)
    assert all(map(torch.equal, views, given))


def test_a_helper_that_fails_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper's error reaches the caller: a snapshot with a hole must never count as whole."""
    me = threading.current_thread()
    real = host._copy
    begun = threading.Event()

    def fail_elsewhere(piece: Any) -> None:
        if threading.current_thread() is not me:
            begun.set()
            raise RuntimeError("no copy")
        begun.wait(10)
        real(piece)

    monkeypatch.setattr(host, "_copy", fail_elsewhere)
    given = sources()
    with pytest.raises(RuntimeError, match="no copy"):
        HostCopier(1)([torch.zeros_like(one) for one in given], given)


def test_small_states_start_no_thread() -> None:
    """A small state is copied before a thread could start."""
    copier = HostCopier(3)
    given = [torch.randn(1000)]
    copier([torch.zeros(1000)], given)
    copier([], [])
    assert copier._pool is None


def test_cores_that_torch_uses_are_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """When torch uses several threads, it copies with all of them itself."""
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert idle_cores() == 3
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert idle_cores() == 0
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda _: {3})
    assert idle_cores() == 0
