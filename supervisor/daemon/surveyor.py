"""Has the checkpoints validated by a child process, so that a stalled disk cannot stall the daemon.

What the child proved is remembered here and in the ledger: an unchanged one is not read twice.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import supervisor.checkpoint
from supervisor.checkpoint.names import SINGLE_FILE_SUFFIXES, parse_name
from supervisor.checkpoint.records import Entry, Remembered, Survey, SurveyRequest
from supervisor.core.events import Surveyed, SurveyFailed
from supervisor.core.states import Checkpoint

LEFT_S = 1.0
_PROGRAM = Path(supervisor.checkpoint.__file__).with_name("__main__.py")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a survey brought: the event for the core, and what is new for the ledger."""

    event: Surveyed | SurveyFailed
    survey: Survey | None
    news: tuple[Entry, ...]
    gone: tuple[str, ...] = ()
    """Remembered ones that are there no more: a trainer prunes its own."""


class Surveyor:
    """At most one survey at a time; one that only brings news gives way to one that decides."""

    def __init__(
        self,
        directory: Path,
        folder: Path,
        *,
        run_id: str,
        existing: Literal["use", "ignore"] | None,
        memory: dict[str, Remembered],
        pattern: str | None = None,
        snapshots: Path | None = None,
    ) -> None:
        self.directory = directory
        self._folder = folder
        self._run_id = run_id
        self._existing = existing
        self._memory = memory
        self._pattern = pattern
        self._snapshots = snapshots
        self._child: subprocess.Popen[bytes] | None = None
        self._lost: list[subprocess.Popen[bytes]] = []
        self._deciding = False
        self._generation = 0

    @property
    def is_busy(self) -> bool:
        """Whether a survey is under way."""
        return self._child is not None

    def begin(
        self, *, deciding: bool, pins: frozenset[str], first_attempt_wall: float | None
    ) -> SurveyFailed | None:
        """Start a survey. A failure to start one is an answer, too."""
        self.cancel()
        self._deciding = deciding
        self._generation += 1
        request = SurveyRequest(
            directory=self.directory,
            run_id=self._run_id,
            memory=self._memory,
            existing=self._existing,
            quiet=deciding,
            pins=pins,
            first_attempt_wall=first_attempt_wall,
            pattern=self._pattern,
            # Only for a decision: one that changes twice a second is no news.
            snapshots=self._snapshots if deciding else None,
        )
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            asked = self._file("request")
            asked.write_text(json.dumps(request.to_json()))
            with (
                asked.open("rb") as question,
                self._file("answer").open("wb") as answer,
                self._file("errors").open("wb") as errors,
            ):
                self._child = subprocess.Popen(
                    [sys.executable, "-P", str(_PROGRAM), "survey"],
                    stdin=question,
                    stdout=answer,
                    stderr=errors,
                )
        except OSError as error:
            return SurveyFailed(f"the checkpoints cannot be looked at: {error}")
        return None

    @property
    def largest_bytes(self) -> int:
        """The size of the largest checkpoint known; 0 where none is."""
        return max((known.bytes for known in self._memory.values()), default=0)

    def listing(self) -> tuple[tuple[str, int], ...]:
        """What a glance at the directory shows: it differs when a survey may bring news."""
        found: list[tuple[str, int]] = []
        try:
            with os.scandir(self.directory) as entries:
                for entry in entries:
                    if parse_name(entry.name, self._pattern) is not None:
                        found.append((entry.name, entry.stat(follow_symlinks=False).st_mtime_ns))
        except OSError:
            return ()
        return tuple(sorted(found))

    def unrecognised(self, since_wall: float) -> tuple[str, ...]:
        """Files that look like weights, written since then, whose names say nothing to us."""
        try:
            with os.scandir(self.directory) as entries:
                return tuple(
                    sorted(
                        entry.name
                        for entry in entries
                        if entry.name.endswith(SINGLE_FILE_SUFFIXES)
                        and parse_name(entry.name, self._pattern) is None
                        and entry.stat(follow_symlinks=False).st_mtime >= since_wall
                    )
                )
        except OSError:
            return ()

    def _file(self, name: str) -> Path:
        # A child of a daemon that died may still be writing its own.
        return self._folder / f"survey-{os.getpid()}-{self._generation}-{name}"

    def poll(self) -> Answer | None:
        """The answer, once the child has ended."""
        if self._child is None or self._child.poll() is None:
            return None
        code, self._child = self._child.returncode, None
        try:
            text = self._file("answer").read_text()
            complaint = self._file("errors").read_text(errors="replace").strip()
            survey = Survey.from_json(json.loads(text)) if code == 0 else None
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            survey, complaint = None, f"{type(error).__name__}: {error}"
        finally:
            self._remove_files()
        if survey is None:
            last = complaint.splitlines()[-1] if complaint else f"exit code {code}"
            reason = f"{self.directory}: the checkpoints cannot be read: {last}"
            return Answer(SurveyFailed(reason, deciding=self._deciding), None, ())
        news = tuple(self._remember(survey.entries))
        there = {str(entry.path) for entry in survey.entries}
        gone = tuple(path for path in self._memory if path not in there)
        for path in gone:
            del self._memory[path]
        return Answer(_event(survey, deciding=self._deciding), survey, news, gone)

    def _remember(self, entries: Iterable[Entry]) -> Iterable[Entry]:
        for entry in entries:
            known = entry.as_remembered()
            if known is None or entry.tier != "disk":
                continue
            if self._memory.get(str(entry.path)) != known:
                self._memory[str(entry.path)] = known
                yield entry

    def forget(self, path: str) -> None:
        """A checkpoint is no longer where it was."""
        self._memory.pop(path, None)

    def cancel(self) -> None:
        """Give up the survey under way."""
        if self._child is not None:
            self._child.kill()
            try:
                self._child.wait(LEFT_S)
            except subprocess.TimeoutExpired:
                # On a disk that does not answer not even SIGKILL ends it: it is not waited for.
                self._lost.append(self._child)
            self._lost = [child for child in self._lost if child.poll() is None]
            self._child = None
            self._remove_files()

    def _remove_files(self) -> None:
        for name in ("request", "answer", "errors"):
            self._file(name).unlink(missing_ok=True)


def _event(survey: Survey, *, deciding: bool) -> Surveyed:
    there = [entry for entry in survey.entries if entry.tier != "set_aside"]
    usable = [e for e in there if e.valid and e.candidate and e.finite is not False]
    return Surveyed(
        candidates=tuple(
            Checkpoint(str(e.path), e.step, e.epoch, e.kind, e.own_run, e.mtime, e.tier)
            for e in usable
        ),
        exists=survey.exists,
        invalid=tuple(
            (str(e.path), e.reason or "invalid")
            for e in there
            if e.valid is False and (e.candidate or e.own_run)
        ),
        undecided=tuple(str(path) for path in survey.undecided),
        deciding=deciding,
    )


def remember(memory: dict[str, Remembered], entry: Mapping[str, Any]) -> None:
    """Take over the verdict that a ledger entry has, if it has one."""
    match entry.get("type"):
        case "checkpoint" if entry.get("kept", True):
            memory[entry["path"]] = Remembered(
                fingerprint=entry["fingerprint"],
                valid=bool(entry["valid"]),
                proof=entry.get("proof"),
                reason=entry.get("reason"),
                hashes=entry.get("hashes") or {},
                step=entry.get("step"),
                epoch=entry.get("epoch"),
                kind=entry.get("kind"),
                bytes=int(entry.get("bytes") or 0),
                own_run=bool(entry.get("own_run", True)),
            )
        case "checkpoint_removed":
            memory.pop(str(entry.get("path")), None)


def memory_of(entries: Iterable[Mapping[str, Any]]) -> dict[str, Remembered]:
    """The verdicts that a ledger has."""
    memory: dict[str, Remembered] = {}
    for entry in entries:
        remember(memory, entry)
    return memory


def entry_of(found: Entry, *, progress: bool) -> dict[str, Any]:
    """The ledger entry for a verdict."""
    return {
        "type": "checkpoint",
        "path": str(found.path),
        "step": found.step,
        "epoch": found.epoch,
        "kind": found.kind,
        "bytes": found.bytes,
        "valid": found.valid,
        "proof": found.proof,
        "reason": found.reason,
        "fingerprint": found.fingerprint,
        "hashes": dict(found.hashes),
        "own_run": found.own_run,
        "progress": progress,
    }
