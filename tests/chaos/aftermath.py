"""Judges a directory after a crash: the real survey must find what the writer promised."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from supervisor.checkpoint import prune
from supervisor.checkpoint.commit import clean_staging
from supervisor.checkpoint.layout import SET_ASIDE
from supervisor.rundir.intent import read_intent
from supervisor.rundir.ledger import read_ledger
from tests.chaos.contents import Made, fill_slot, identify
from tests.chaos.operations import Tree
from tests.chaos.writers import commit, look, run_root

BASE, OLD, NEW = Made(400, 1), Made(500, 1), Made(500, 2)
"""What is there before; the old checkpoint under the written name; what is written."""
Judge = Callable[[Path, Sequence[str]], str | None]
"""Says what is wrong with a directory, given the writer's words so far; None if nothing is."""


def materialise(tree: Tree, root: Path) -> None:
    """Put a state onto a real disk, and remove what was there."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for path, data in sorted(tree.items()):
        if data is None:
            os.mkdir(f"{root}/{path}")
        else:
            with open(f"{root}/{path}", "wb") as file:
                file.write(data)


def judge_checkpoints(
    before: Sequence[Made | None],
    after: Mapping[str, Sequence[Made | None]],
    *,
    never_lost: Mapping[str, Made] = MappingProxyType({}),
) -> Judge:
    """A judge of checkpoints: the newest must be allowed by the writer's words.

    Before a word of `after` the newest must be one of `before`, then one of that word's. Nothing
    torn has a checkpoint's name, and what the crash left can be cleaned away. `never_lost`: once
    that word was said ("" is the beginning), the checkpoint is whole in its directory or set aside.
    """

    def judge(root: Path, marks: Sequence[str]) -> str | None:
        allowed = after[marks[-1]] if marks else before
        parent = root / "saves"
        for stage in ("found", "cleaned"):
            if stage == "cleaned":
                clean_staging(parent, quiet=True)
                prune.finish_removals(parent, run_root(parent))
            seen = look(parent)
            newest = seen.newest_valid
            made = None if newest is None else identify(newest.path, newest.step)
            if newest is not None and made is None:
                return f"{stage}: {newest.name} is called valid with bytes that nobody wrote"
            if made not in allowed:
                return f"{stage}: the newest is {made}"
            torn = [one.name for one in seen.entries if one.tier == "disk" and one.valid is False]
            if torn:
                return f"{stage}: {torn} are torn"
            for word, kept in never_lost.items():
                places = {identify(one.path, one.step) for one in seen.entries}
                if word in ("", *marks) and kept not in places:
                    return f"{stage}: {kept} is lost"
        left = set(os.listdir(parent)) if parent.is_dir() else set()
        if stray := {name for name in left if name.startswith(".") and name != SET_ASIDE}:
            return f"{stray} cannot be cleaned away"
        return None

    return judge


def judge_persisted(root: Path, marks: Sequence[str]) -> str | None:
    """As for a further checkpoint; its log must be on the disk before it."""
    problem = judge_checkpoints([BASE, NEW], {"committed": [NEW]})(root, marks)
    newest = look(root / "saves").newest_valid
    if problem is None and newest is not None and newest.step == NEW.step:
        log = root / "train.log"
        if not log.exists() or log.read_text() != "step 400\nstep 500\n":
            return "the checkpoint is there before its log"
    return problem


def judge_ledger(root: Path, marks: Sequence[str]) -> str | None:
    """All noted entries are there, in order, and no others."""
    numbers = [entry["number"] for entry in read_ledger(root / "ledger.jsonl")]
    if numbers[: len(marks)] != list(range(len(marks))):
        return f"{len(marks)} entries were promised, there are {numbers}"
    return None if numbers == sorted(set(numbers)) else f"entries out of order: {numbers}"


def judge_intent(root: Path, marks: Sequence[str]) -> str | None:
    """The intent is the last acknowledged one, or the one after it."""
    intents = ["run", "stop", "hold", "stop"]
    found = read_intent(root / "intent.json")
    if found.id == "unreadable":
        return "the intent is unreadable"
    allowed = intents[len(marks) : len(marks) + 2]
    return None if found.intent.value in allowed else f"{found.intent} is none of {allowed}"


def plant_checkpoints(*made: Made) -> Callable[[Path], None]:
    """A function that makes the checkpoints of the scenario."""

    def plant(root: Path) -> None:
        for step, attempt in made:
            commit(root / "saves", step, attempt)

    return plant


def plant_nothing(root: Path) -> None:
    """Make nothing: the run begins."""


def plant_snapshot(root: Path) -> None:
    """Make a checkpoint on the disk, and a newer snapshot in memory that needs the run's log."""
    plant_checkpoints(BASE)(root)
    log = root / "train.log"
    log.write_text("step 400\n")
    fill_slot(
        *(root.parent / "memory", NEW, root / "saves"), sequence=7, index=0, before=(str(log),)
    )
