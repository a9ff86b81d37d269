"""The messages between launcher and daemon: their bytes, and what does not fit them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from supervisor.launcher import messages
from supervisor.launcher.messages import (
    PROTOCOL,
    ExitedReport,
    Hello,
    KillOrder,
    KnownAttempt,
    LaunchOrder,
    LeftEnd,
    MainExitedReport,
    ParkedReport,
    PersisterOrder,
    StopOrder,
    StuckProcess,
    UnkillableReport,
)
from supervisor.launcher.protocol import Unfit, order_of, report_of
from supervisor.system.json_lines import encode

END = {"code": 0, "awaits_word": True, "signal": None, "core_dumped": False, "monotonic": 5.0}
EXITED = ExitedReport(attempt=3, code=0, monotonic=5.0, left_ended=(LeftEnd(pid=9, code=1),))


# Messages, and their lines.
WRITTEN: list[tuple[Any, str]] = [
    (PersisterOrder(directory="/s"), '{"do":"persister","directory":"/s"}'),
    (PersisterOrder(patience_s=2.0), '{"do":"persister","directory":null,"patience_s":2.0}'),
    (
        StopOrder(attempt=1, signal=15, grace_s=20.0),
        '{"do":"stop","attempt":1,"signal":15,"grace_s":20.0,"is_hang":false}',
    ),
    (
        EXITED,
        '{"is":"exited","attempt":3,"code":0,"awaits_word":false,"signal":null,'
        '"core_dumped":false,"monotonic":5.0,"leftovers":0,'
        '"left_ended":[{"pid":9,"code":1,"signal":null}],"peak_rss_bytes":0,"oom_kills":null}',
    ),
    (
        UnkillableReport(attempt=1, pids=(StuckProcess(pid=4, comm="cp", state="D"),)),
        '{"is":"unkillable","attempt":1,"pids":[{"pid":4,"comm":"cp","state":"D","wchan":"",'
        '"syscall":"","stack":[]}]}',
    ),
]


@pytest.mark.parametrize(("message", "line"), WRITTEN)
def test_the_bytes_of_a_message(message: Any, line: str) -> None:
    """The kind comes first, then the fields in their order, as other versions read them."""
    assert encode(message.to_json()) == line.encode() + b"\n"


def test_the_hello_of_an_attempt_and_of_an_end() -> None:
    """Parts of a hello have no kind, except the last exit, which is a report to pass on."""
    ending = MainExitedReport(attempt=3, **END)
    attempt = KnownAttempt(attempt=3, pid=7, start_ticks=8, run_id="r", ending=ending)
    parked = ParkedReport(stage="waiting", said={"seconds": 2})
    hello = Hello(protocol=PROTOCOL, attempt=attempt, last_exit=EXITED, parked=parked)
    told = json.loads(encode(hello.to_json()))
    assert told["attempt"]["ending"] == {"attempt": 3, **END}
    assert "is" not in told["attempt"]
    assert "is" not in told["parked"]
    assert told["last_exit"]["is"] == "exited"
    assert list(told)[:2] == ["is", "protocol"]
    assert report_of(told) == hello


def test_every_kind_comes_back() -> None:
    """Each message with a kind is read as itself; no two kinds have the same name."""
    for union, read in ((messages.Order, order_of), (messages.Report, report_of)):
        kinds = union.__args__  # type: ignore[attr-defined]
        assert len({(one.key, one.kind) for one in kinds}) == len(kinds)
        for one in kinds:
            values = {name: EXAMPLES[kind] for name, kind in one.fields.items()}
            message = one(**values)
            assert read(json.loads(encode(message.to_json()))) == message


EXAMPLES: dict[str, Any] = {
    "int": 1,
    "int | None": 2,
    "float": 3.5,
    "float | None": None,
    "str": "a",
    "str | None": "b",
    "bool": True,
    "str | tuple[str, ...]": ("torch",),
    "tuple[str, ...]": ("x", "y"),
    "tuple[int, ...]": (4, 5),
    "dict[str, str]": {"A": "\udc80"},
    "dict[str, Any] | None": {"modules": 9},
    "tuple[LeftEnd, ...]": (LeftEnd(pid=1, signal=9),),
    "tuple[StuckProcess, ...]": (StuckProcess(pid=1, stack=("a",)),),
    "KnownAttempt | None": KnownAttempt(attempt=1, pid=2, start_ticks=3),
    "ExitedReport | None": EXITED,
    "ParkedReport": ParkedReport(stage="importing"),
}


def test_the_hello_of_the_version_before_is_read() -> None:
    """A hello of the previous version has no protocol, and its attempt has fewer fields."""
    told = {
        "is": "hello",
        "attempt": {"attempt": 1, "pid": 2, "start_ticks": 3},
        "signals": ["INT"],
    }
    hello = report_of(told)
    assert isinstance(hello, Hello)
    assert (hello.protocol, hello.signals, hello.last_exit) == (0, ("INT",), None)
    assert hello.attempt == KnownAttempt(attempt=1, pid=2, start_ticks=3)


def test_what_a_later_version_says_more_is_passed_over() -> None:
    """Unknown fields are ignored, in parts, too; a null counts as absent."""
    told = {"is": "exited", "attempt": 1, "monotonic": 2, "why": {}, "leftovers": None}
    ends = [{"pid": 1, "since": 3.0}]
    expected = ExitedReport(attempt=1, monotonic=2.0, left_ended=(LeftEnd(pid=1),))
    assert report_of({**told, "left_ended": ends}) == expected


@pytest.mark.parametrize(
    ("told", "unfit"),
    [
        ({"do": "dance"}, Unfit(what="dance", attempt=None, why="is unknown")),
        ({}, Unfit(what="None", attempt=None, why="is unknown")),
        ({"do": "kill"}, Unfit(what="kill", attempt=None, why="does not fit: it has no 'attempt'")),
        (
            {"do": "kill", "attempt": "1"},
            Unfit(what="kill", attempt=None, why="does not fit: its 'attempt' is '1'"),
        ),
        (
            {"do": "launch", "attempt": 4, "run_id": "r", "argv": ["a", 1], "env": {}},
            Unfit(what="launch", attempt=4, why="does not fit: its 'argv' is 1"),
        ),
        (
            {"do": "keep", "attempt": 4, "for_s": True},
            Unfit(what="keep", attempt=4, why="does not fit: its 'for_s' is True"),
        ),
        (
            {"do": "launch", "attempt": 4, "run_id": "r", "argv": [], "env": {"A": 1}},
            Unfit(what="launch", attempt=4, why="does not fit: its 'env' is {'A': 1}"),
        ),
    ],
)
def test_what_does_not_fit_is_a_value_that_says_why(told: dict[str, Any], unfit: Unfit) -> None:
    """An unfit message raises nothing: the loop reports it, and goes on."""
    assert order_of(told) == unfit


def test_a_message_is_a_frozen_record() -> None:
    """Fields are checked like arguments, and cannot be changed."""
    with pytest.raises(TypeError, match="attempt"):
        KillOrder()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="pid"):
        KillOrder(attempt=1, pid=2)  # type: ignore[call-arg]
    order = KillOrder(attempt=1)
    with pytest.raises(AttributeError):
        order.attempt = 2  # type: ignore[misc]
    assert order.changed(attempt=2) == KillOrder(attempt=2) != order
    assert repr(order) == "KillOrder(attempt=1)"
    assert LaunchOrder.fields.keys() >= {"argv", "log"}
