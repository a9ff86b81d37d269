"""What is asked of a directory after a crash: that the real survey finds what was promised."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from supervisor.checkpoint import prune, shelf
from supervisor.checkpoint.commit import clean_staging
from supervisor.checkpoint.records import Entry
from supervisor.intent import read_intent
from supervisor.ledger import read_ledger
from tests.chaos.operations import Tree
from tests.chaos.writers import commit, contents, look

Promise = tuple[int, int]
"""Step and attempt of a checkpoint."""
Judge = Callable[[Path, Sequence[str]], str | None]
"""What is wrong with a directory, given what the writer had said; None if nothing is."""


def materialise(tree: Tree, root: Path) -> None:
    """Put a state onto a real disk, in the place of what was there."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for path, data in sorted(tree.items()):
        if data is None:
            os.mkdir(f"{root}/{path}")
        else:
            with open(f"{root}/{path}", "wb") as file:
                file.write(data)


def _which(entry: Entry) -> Promise | None:
    """The checkpoint that an entry is, byte for byte; None if it is none that was ever written."""
    found = {
        path.relative_to(entry.path).as_posix(): path.read_bytes()
        for path in entry.path.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    for attempt in (1, 2):
        if entry.step is not None and found == contents(entry.step, attempt):
            return entry.step, attempt
    return None


def judge_checkpoints(
    before: Sequence[Promise | None],
    after: dict[str, Sequence[Promise | None]],
    *,
    whole: bool = True,
) -> Judge:
    """Newest is one of `before` until the writer said a word of `after`, then one of that word's.

    Besides, nothing torn has a checkpoint's name, and what the crash left can be cleaned away.
    """

    def judge(root: Path, marks: Sequence[str]) -> str | None:
        allowed = after[marks[-1]] if marks else before
        parent = root / "saves"
        for stage in ("found", "cleaned"):
            if stage == "cleaned":
                clean_staging(parent, quiet=True)
                prune.finish_removals(parent)
            seen = look(parent)
            newest = seen.newest_valid
            name = None if newest is None else _which(newest)
            if newest is not None and name is None:
                return f"{stage}: {newest.name} is called valid with bytes that nobody wrote"
            if name not in allowed:
                return f"{stage}: newest is {name}, not one of {list(allowed)}"
            torn = [one.name for one in seen.entries if one.tier == "disk" and one.valid is False]
            if torn and whole:
                return f"{stage}: {torn} are torn"
        left = set(os.listdir(parent)) if parent.is_dir() else set()
        if stray := {name for name in left if name.startswith(".") and name != ".set-aside"}:
            return f"{stray} cannot be cleaned away"
        return None

    return judge


def judge_ledger(root: Path, marks: Sequence[str]) -> str | None:
    """All that was noted is there, in order, and nothing that was not."""
    numbers = [entry["number"] for entry in read_ledger(root / "ledger.jsonl")]
    if numbers[: len(marks)] != list(range(len(marks))):
        return f"{len(marks)} entries were promised, there are {numbers}"
    return None if numbers == sorted(set(numbers)) else f"entries out of order: {numbers}"


def judge_intent(root: Path, marks: Sequence[str]) -> str | None:
    """The last wish that was acknowledged, or the one after it."""
    wishes = ["run", "stop", "run", "hold"]
    found = read_intent(root / "intent.json")
    if found.id == "unreadable":
        return "the intent is unreadable"
    allowed = wishes[len(marks) : len(marks) + 2]
    return None if found.intent.value in allowed else f"{found.intent} is none of {allowed}"


def plant_checkpoints(*promises: Promise) -> Callable[[Path], None]:
    """The checkpoints that stand there before."""

    def plant(root: Path) -> None:
        for step, attempt in promises:
            commit(root / "saves", step, attempt)

    return plant


def plant_nothing(root: Path) -> None:
    """A run that begins."""


def plant_reason(root: Path) -> None:
    """A shelf that is in use already."""
    plant_checkpoints((400, 1), (450, 1), (500, 1))(root)
    shelf.put_aside(root / "saves" / "checkpoint-450", shelf.INVALID, json.dumps("planted"))
