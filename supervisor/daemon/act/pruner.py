"""Keeps the newest checkpoints and removes the rest; the choice is `checkpoint.prune`'s."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import supervisor.survey
from supervisor.checkpoint.prune import plan
from supervisor.checkpoint.records import CheckpointEntry
from supervisor.core.entries.saves import CheckpointRemovedEntry
from supervisor.core.vocabulary import Tier
from supervisor.daemon.run import Run
from supervisor.survey.answer import Survey

_PROGRAM = Path(supervisor.survey.__file__).with_name("__main__.py")


class Pruner:
    """Deletes in a child process: removing gigabytes takes time."""

    def __init__(self, run: Run, in_use: Callable[[], frozenset[str]] = frozenset) -> None:
        """`in_use`: the names of checkpoints that are being copied, and stay meanwhile."""
        self._run = run
        self._in_use = in_use
        self._child: subprocess.Popen[bytes] | None = None

    def prune(self, survey: Survey, pins: frozenset[str]) -> None:
        """Remove checkpoints beyond `keep`; does nothing while an earlier removal runs."""
        if self._child is not None and self._child.poll() is None:
            return
        settings, pins = self._run.config.checkpoints, pins | self._in_use()
        beyond = [
            *(one for group in _by_directory(survey) for one in self._beyond(group, pins)),
            *_shelved(survey, settings.keep, pins),
        ]
        # The removal before may have taken some of them since they were surveyed.
        doomed = [entry for entry in beyond if os.path.lexists(entry.path)]
        if not doomed:
            return
        doomed = [entry for entry in doomed if self._may_remove(entry)]
        if not doomed:
            return
        place = self._run.paths.set_aside
        asked = self._run.runtime.root / "remove-request.json"
        try:
            asked.write_text(json.dumps([entry.to_json() for entry in doomed]))
            with asked.open("rb") as question:
                self._child = subprocess.Popen(
                    [sys.executable, "-P", str(_PROGRAM), "remove", str(place)],
                    stdin=question,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
        except OSError as error:
            self._run.journal.log.error("pruning_failed", error=str(error))
            return
        for entry in doomed:
            self._run.surveyor.forget(str(entry.path))
        self._run.journal.record(
            *(CheckpointRemovedEntry(path=str(one.path), why="pruned") for one in doomed)
        )

    def _beyond(
        self, group: list[CheckpointEntry], pins: frozenset[str]
    ) -> tuple[CheckpointEntry, ...]:
        """The checkpoints of one directory beyond `keep`: each directory keeps as many."""
        settings = self._run.config.checkpoints
        return plan(group, settings.keep, pins, include_foreign=settings.keep_set)

    def _may_remove(self, entry: CheckpointEntry) -> bool:
        refused = self._run.directory_claim.refusal(entry.path.parent)
        if refused is not None:
            self._run.journal.log.warning("not_pruned", reason=refused)
        return refused is None

    def finish(self, timeout_s: float) -> None:
        """Wait for a removal under way; the next daemon finishes it if the time is over."""
        if self._child is not None:
            try:
                self._child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._run.journal.log.warning("pruning_unfinished")


def _by_directory(survey: Survey) -> list[list[CheckpointEntry]]:
    """The checkpoints on the disk, the list of each directory newest first."""
    groups: dict[Path, list[CheckpointEntry]] = {}
    for entry in survey.entries:
        if entry.tier == Tier.DISK:
            groups.setdefault(entry.path.parent, []).append(entry)
    return list(groups.values())


def _shelved(survey: Survey, keep: int | None, pins: frozenset[str]) -> list[CheckpointEntry]:
    """Set-aside checkpoints of this run beyond `keep`: rollbacks must not fill the disk."""
    if keep is None:
        return []
    mine = [
        entry
        for entry in survey.entries
        if entry.tier == Tier.SET_ASIDE
        and entry.ours
        and entry.own_run
        and entry.name not in pins
        and not entry.best
    ]
    return sorted(mine, key=lambda entry: entry.mtime, reverse=True)[keep:]
