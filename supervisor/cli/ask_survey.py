"""Surveys a run's checkpoints for a command, as the daemon would, from the files alone."""

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from supervisor.checkpoint.pins import pinned
from supervisor.checkpoint.records import Remembered
from supervisor.cli.record import read_history, read_record
from supervisor.cli.runtime_directories import snapshot_root
from supervisor.cli.show.terminal import echo, strip_controls
from supervisor.config.model import RunConfig
from supervisor.core.history import History
from supervisor.daemon.tell.checkpoint_verdicts import memory_of, recorded_of
from supervisor.daemon.tell.recorded_checkpoints import Recorded
from supervisor.rundir.described_places import described_places, named_bests
from supervisor.rundir.lock import is_held
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.recorded_saves import RecordedSaves, merged
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from supervisor.system.clock import monotonic_s
from supervisor.system.small_file import read_small_file

FIRST_WORD_S = 2.0
NEXT_WORD_S = 10.0
Existing = Literal["use", "ignore"] | None


def request_of(run_dir: Path) -> SurveyRequest:
    """A thorough survey of a run's checkpoints in both tiers.

    Checkpoints that the ledger knows and that have not changed are not read again. Raises OSError.
    """
    paths = RunPaths(run_dir)
    directory, existing, pattern = settings(paths)
    quiet = not read_record(run_dir).live
    request = _request(paths, directory, existing, pattern, quiet=quiet, thorough=True)
    return request if is_run_directory(paths, directory) else replace(request, described=())


def request_for(paths: RunPaths, config: RunConfig) -> SurveyRequest:
    """What a start of this (resolved) configuration would look at in order to decide."""
    directory = Path(config.checkpoints.directory or paths.run_dir)
    existing, pattern = config.resume.existing, config.checkpoints.pattern
    quiet = not is_held(paths)
    request = _request(paths, directory, existing, pattern, quiet=quiet, thorough=False)
    return request if config.configured_directory is None else replace(request, described=())


def _request(
    paths: RunPaths,
    directory: Path,
    existing: Existing,
    pattern: str | None,
    *,
    quiet: bool,
    thorough: bool,
) -> SurveyRequest:
    history, ledger = read_history(paths)
    recorded, memory = recorded_of(ledger), memory_of(ledger)
    return SurveyRequest(
        directory=directory,
        run_id=history.run_id,
        memory=memory,
        existing=existing,
        quiet=quiet,
        pins=pinned(paths.pins),
        first_attempt_wall=history.first_attempt_wall,
        thorough=thorough,
        pattern=pattern,
        snapshots=snapshot_root(paths, history.run_id),
        known=recorded.known(),
        mount=recorded.mount,
        begun_wall=history.begun_wall,
        attempt_wall=history.attempt_wall,
        ended_wall=history.ended_wall,
        attempt_killed=history.ended_killed,
        attempt_step=history.ended_step,
        set_aside=paths.set_aside,
        described=tuple(map(str, _places(paths, history, memory, recorded))),
        bests=named_bests(paths.run_dir, history.bests.values()),
        run_dir=paths.run_dir,
    )


def directories(paths: RunPaths) -> tuple[Path, ...]:
    """The directories that hold a run's checkpoints. The first one is looked into first."""
    directory = settings(paths)[0]
    if not is_run_directory(paths, directory):
        return (directory,)
    history, ledger = read_history(paths)
    return (*_places(paths, history, memory_of(ledger), recorded_of(ledger)), directory)


def _places(
    paths: RunPaths, history: History, memory: Mapping[str, Remembered], recorded: Recorded
) -> tuple[Path, ...]:
    known = (*memory, *(one.path for one in recorded.known()))
    saved = RecordedSaves(paths.trainings, paths.run_dir).look()
    return described_places(paths.run_dir, merged(history.places, saved), known)


def is_run_directory(paths: RunPaths, directory: Path) -> bool:
    """Whether the configuration names no checkpoint directory, so that the trainer may."""
    return directory == paths.run_dir


def settings(paths: RunPaths) -> tuple[Path, Existing, str | None]:
    """The checkpoint directory, `resume.existing` and `checkpoints.pattern` of a run."""
    try:
        config: dict[str, Any] = json.loads(read_small_file(paths.config))
        section = config["checkpoints"]
        existing = config["resume"].get("existing")
        directory, home = Path(section["directory"]), Path(config["run_dir"])
        if directory.is_relative_to(home):
            # The run directory may have been moved or copied, and its checkpoints with it.
            directory = paths.run_dir / directory.relative_to(home)
        return directory, existing, section.get("pattern")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        # The run was never started with this version, or its written configuration is missing.
        return paths.run_dir, None, None


def survey_aloud(request: SurveyRequest, *, silent: bool = False) -> Survey:
    """A survey that reports its progress on stderr while it takes long. Raises OSError.

    `silent`: report no progress, for `--json`.
    """
    if silent:
        return survey(request)
    progress = _Progress(request.directory)
    try:
        return survey(request, progress.note)
    finally:
        progress.end()


class _Progress:
    """Speaks from a thread: one large checkpoint may take minutes without a call of `note`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._begun = monotonic_s()
        self._looked = "listing them"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def note(self, done: int, total: int) -> None:
        """Take how many checkpoints were looked at, and of how many."""
        self._looked = f"{done:,} of {total:,} looked at"

    def end(self) -> None:
        """Stop speaking."""
        self._over.set()
        self._thread.join()

    def _speak(self) -> None:
        pause_s = FIRST_WORD_S
        while not self._over.wait(pause_s):
            pause_s = NEXT_WORD_S
            took_s = monotonic_s() - self._begun
            where = strip_controls(str(self._directory))
            line = f"reading the checkpoints in {where}: {self._looked}, {took_s:.0f} s so far"
            echo(line, err=True)
