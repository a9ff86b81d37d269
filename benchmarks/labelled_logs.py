"""Logs with a label each: why the training really died, and what is to be done about it.

A folder has `labels.tsv` and a file `ID.log` for each of its rows.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GIVEN = ROOT / "tests" / "diagnosis" / "cases"
HEALTHY_LOGS = ROOT / "tests" / "diagnosis" / "healthy"
HEALTHY = "healthy"
STOPPING = frozenset({"hold", "exclude"})
GOING_ON = frozenset({"restart", "backoff", "rollback", "resume_later"})
UNLABELLED_KIND = "NONE:"
# Labels from before a failure had a name say `NONE:kind`; this is the name each kind has got.
KINDS: Mapping[str, frozenset[str]] = {
    "memlock_limit": frozenset({"configuration"}),
    "mig": frozenset({"configuration", "gpu_unavailable"}),
    "permission": frozenset({"configuration"}),
    "dataset_corrupt": frozenset({"data_corrupt"}),
    "no_kernel_image": frozenset({"incompatible_software"}),
    "cuda_version": frozenset({"incompatible_software"}),
    "compile_failed": frozenset({"build_failed"}),
    "nccl_invalid_usage": frozenset({"configuration"}),
    "auth": frozenset({"access_denied"}),
    "download_failed": frozenset({"download_failed"}),
    "wandb": frozenset({"exception"}),
}
# These logs of the given set were labelled before the closer name was there.
NAMED_SINCE: Mapping[str, str] = {
    "118": "checkpoint_mismatch",
    "119": "checkpoint_mismatch",
    "123": "incompatible_software",
    "124": "incompatible_software",
}
# These failures come before the first step, so no steps may be written in front of them.
BEFORE_THE_FIRST_STEP = frozenset(
    {"configuration", "incompatible_software", "build_failed", "access_denied"}
    | {"checkpoint_mismatch", "gpu_unavailable"}
)


@dataclass(frozen=True, slots=True)
class LabelledLog:
    """One log, the names and actions that count as right, and how the process ended."""

    id: str
    path: Path
    failures: frozenset[str]
    actions: frozenset[str]
    code: int | None
    signal: int | None
    phase: str
    """`import`, `start` or `run`: how far the training was."""

    @property
    def is_healthy(self) -> bool:
        """Whether the label says that nothing failed."""
        return HEALTHY in self.failures

    def text(self) -> str:
        """The log; bytes that are no UTF-8 are replaced, line ends are kept."""
        return self.path.read_bytes().decode("utf-8", "replace")


def read_logs(folder: Path) -> list[LabelledLog]:
    """All labelled logs of a folder, in the order of its labels.

    Raises OSError, and ValueError for a label that cannot be read.
    """
    with (folder / "labels.tsv").open(encoding="utf-8", newline="") as stream:
        return [
            _labelled(folder, row)
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def _labelled(folder: Path, row: Mapping[str, str]) -> LabelledLog:
    failures = frozenset(_names(row.get("expected") or row["failure"]))
    if folder == GIVEN and row["id"] in NAMED_SINCE:
        failures |= {NAMED_SINCE[row["id"]]}
    return LabelledLog(
        id=row["id"],
        path=folder / f"{row['id']}.log",
        failures=failures,
        actions=frozenset((row.get("action") or "").split("|")) - {""},
        code=_number(row.get("code")),
        signal=_number(row.get("signal")),
        phase=row.get("phase") or ("start" if failures & BEFORE_THE_FIRST_STEP else "run"),
    )


def _names(label: str) -> Iterator[str]:
    for name in label.split("|"):
        if not name.startswith(UNLABELLED_KIND):
            yield name
            continue
        kind = name.removeprefix(UNLABELLED_KIND)
        if kind not in KINDS:
            raise ValueError(f"labels.tsv: no failure is known for {name!r}")
        yield from KINDS[kind]


def _number(text: str | None) -> int | None:
    return int(text) if text else None
