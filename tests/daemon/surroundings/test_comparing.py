"""What is different between two records: tables of pairs."""

from typing import Any

import pytest

from supervisor.core.entries.attempt import ChangedEntry, Difference
from supervisor.daemon.look.surroundings.comparing import (
    HIDDEN,
    MOST,
    Change,
    bounded,
    changes,
    in_order,
    step_time_change,
)
from supervisor.daemon.look.surroundings.record import FileSeen, SurroundingsRecord
from supervisor.daemon.tell.change_words import changed_text, difference_text

GOOD = SurroundingsRecord(
    attempt=3,
    taken=1000.0,
    python="3.12.3",
    packages={"torch": "2.6.0", "wandb": "0.19.1"},
    script="/w/train.py",
    files={"/w/train.py": FileSeen(10, 500.0, "aa"), "/w/a.yaml": FileSeen(5, 500.0, "bb")},
    commit="1234567890abcdef",
    command=("python", "train.py", "--lr", "3e-4"),
    shown={"NCCL_DEBUG": "WARN"},
    hidden={"LD_PRELOAD": 7, "HF_TOKEN": None},
    node="gpu07",
    kernel="6.8.0",
    driver="550.54.14",
)


def with_file(path: str, seen: FileSeen) -> dict[str, FileSeen]:
    """The good record's files, one of them another."""
    return {**GOOD.files, path: seen}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, []),
        ({"attempt": 4, "taken": 2000.0}, []),
        ({"python": "3.13.0"}, ["Python 3.12.3 → 3.13.0"]),
        ({"python": None}, []),
        ({"packages": None}, []),
        ({"packages": {"torch": "2.7.1", "wandb": "0.19.1"}}, ["torch 2.6.0 → 2.7.1"]),
        ({"packages": {"torch": "2.6.0"}}, ["wandb 0.19.1 removed"]),
        ({"packages": {**(GOOD.packages or {}), "einops": "1"}}, ["einops 1 added"]),
        ({"node": "gpu09"}, ["node gpu07 → gpu09"]),
        ({"kernel": "6.9.1"}, ["kernel 6.8.0 → 6.9.1"]),
        ({"driver": "570.86"}, ["driver 550.54.14 → 570.86"]),
        ({"driver": None}, ["driver 550.54.14 removed"]),
        ({"commit": "fedcba9876543210"}, ["commit 1234567890 → fedcba9876"]),
        ({"commit": None}, []),
        ({"files": with_file("/w/train.py", FileSeen(10, 1500.0, "cc"))}, ["train.py edited"]),
        ({"files": with_file("/w/train.py", FileSeen(10, 1500.0, "aa"))}, []),
        ({"files": with_file("/w/a.yaml", FileSeen(5, 1500.0, "cc"))}, ["a.yaml edited"]),
        ({"files": with_file("/w/new.yaml", FileSeen(5, 1500.0, "cc"))}, []),
        ({"files": {}}, []),
        (
            {"command": ("python", "train.py", "--lr", "1e-3")},
            ["command --lr 3e-4 → --lr 1e-3"],
        ),
        (
            {"command": ("python", "-O", "train.py", "--lr", "3e-4")},
            ["command -O added"],
        ),
        ({"command": ("python", "train.py")}, ["command --lr 3e-4 removed"]),
        ({"shown": {"NCCL_DEBUG": "INFO"}}, ["NCCL_DEBUG WARN → INFO"]),
        ({"shown": {}}, ["NCCL_DEBUG unset"]),
        (
            {"shown": {"NCCL_DEBUG": "WARN", "NCCL_P2P_DISABLE": "1"}},
            ["NCCL_P2P_DISABLE set to 1"],
        ),
        ({"hidden": {"LD_PRELOAD": 8, "HF_TOKEN": None}}, ["LD_PRELOAD has another value"]),
        ({"hidden": {"LD_PRELOAD": 7}}, ["HF_TOKEN unset"]),
        ({"hidden": {**GOOD.hidden, "HF_HOME": 3}}, ["HF_HOME set"]),
    ],
)
def test_one_difference(fields: dict[str, Any], told: list[str]) -> None:
    """Each fact by itself; what is not known in one of the two is no difference."""
    found = changes(GOOD, GOOD._replace(**fields))
    assert [difference_text(_on_record(one)) for one in found] == told


def _on_record(one: Change) -> Difference:
    return Difference(kind=one.kind, what=one.what, before=one.before, after=one.after)


def test_the_likeliest_causes_come_first() -> None:
    """Frameworks, driver, node and script before the long list of other packages."""
    now = GOOD._replace(
        packages={"torch": "2.7.1", "wandb": "0.20", **{f"nvidia-{i}": "1" for i in range(20)}},
        node="gpu09",
        driver="570.86",
        files=with_file("/w/train.py", FileSeen(10, 1500.0, "cc")),
        shown={},
    )
    slower = step_time_change(0.41, 1.9)
    assert slower is not None
    listed, more = bounded(in_order([*changes(GOOD, now), slower]))
    assert [one.what for one in listed[:6]] == [
        "torch", "driver", "node", "train.py", "step time", "NCCL_DEBUG",
    ]  # fmt: skip
    assert (len(listed), more) == (MOST, 27 - MOST)
    # The list from the child is cut already; the step time comes in at its place.
    again, left = bounded(in_order([*bounded(changes(GOOD, now))[0], slower]), 26 - MOST)
    assert (again, left) == (listed, more)


def test_when_a_file_was_edited() -> None:
    """Known where that was after the good attempt; a copy may have kept an older time."""
    for mtime, edited in ((1500.0, 1500.0), (900.0, None)):
        files = with_file("/w/train.py", FileSeen(10, mtime, "cc"))
        assert changes(GOOD, GOOD._replace(files=files))[0].edited == edited


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (0.41, 1.9, "step time 0.41 s → 1.9 s"),
        (1.9, 0.41, "step time 1.9 s → 0.41 s"),
        (100.0, 250.0, "step time 100 s → 250 s"),
        (1.0, 1.4, None),
        (None, 1.0, None),
        (1.0, None, None),
        (0.0, 1.0, None),
    ],
)
def test_step_time(before: float | None, now: float | None, told: str | None) -> None:
    """Told from half as much again, and if both are known."""
    found = step_time_change(before, now)
    assert (None if found is None else difference_text(_on_record(found))) == told


def test_long_values_are_cut() -> None:
    """Nobody reads a command of a thousand words in one line."""
    found = changes(GOOD, GOOD._replace(command=("x",) * 1000, shown={"NCCL_X": "y" * 900}))
    assert max(len(one.after or "") for one in found) == 80


def test_how_it_is_told() -> None:
    """The clause of the terminal, the sentence of `events`."""
    entry = ChangedEntry(
        attempt=4,
        since=3,
        differences=(
            Difference(kind="framework", what="torch", before="2.6.0", after="2.7.1"),
            Difference(kind="script", what="train.py", edited_s=840.0),
            Difference(kind="variable", what="LD_PRELOAD", before=HIDDEN, after=HIDDEN),
        ),
        more=2,
    )
    first = "changed since attempt 3: torch 2.6.0 → 2.7.1"
    assert changed_text(entry, most=1) == f"{first}, and 4 more"
    edited = "train.py edited 14m before the end"
    assert changed_text(entry) == f"{first}, {edited}, LD_PRELOAD has another value, and 2 more"
