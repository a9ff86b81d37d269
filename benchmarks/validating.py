"""Measures the validation of a checkpoint: from the disk, from the page cache, and remembered."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import disk
from supervisor.checkpoint.listing import YOUNG_S
from supervisor.checkpoint.validate import validate
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey

LOOKS = 9
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Validation:
    """Times in seconds; `cold` pairs each with dd's direct read of the files right after it."""

    bytes: int
    cold: list[tuple[float, float]]
    cached: list[float]
    unchanged: list[float]


def measure_validation(path: Path, times: int) -> Validation:
    """Validate one of our checkpoints. Raises DiskError, and RuntimeError if it is not valid."""
    files = disk.files_of(path)
    cold = []
    for _ in range(times):
        disk.drop(files)
        validate_s = _validate_seconds(path)
        cold.append((validate_s, disk.read_seconds(files)))
    disk.warm(files)
    cached = [_validate_seconds(path) for _ in range(times)]
    return Validation(disk.size_of(files), cold, cached, _unchanged_seconds(path))


def _validate_seconds(path: Path) -> float:
    began = time.perf_counter()
    verdict = validate(path)
    seconds = time.perf_counter() - began
    if not verdict.valid:
        raise RuntimeError(f"{path} is not valid: {verdict.reason}")
    return seconds


def _unchanged_seconds(path: Path) -> list[float]:
    """Times to choose the newest checkpoint of a directory whose verdicts are remembered."""
    request = SurveyRequest(directory=path.parent, existing="use", quiet=True)
    while time.time() - path.stat().st_ctime < YOUNG_S:  # verdicts on younger files are not kept
        time.sleep(POLL_S)
    known = {
        str(entry.path): remembered
        for entry in survey(request).entries
        if (remembered := entry.as_remembered()) is not None
    }
    request = replace(request, memory=known)
    seconds = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        newest = survey(request).newest_valid
        seconds.append(time.perf_counter() - began)
        if newest is None or not newest.remembered:
            raise RuntimeError(f"{path} was not remembered")
    return seconds
