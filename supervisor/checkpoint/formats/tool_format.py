"""What can be said of one tool's checkpoints: each tool fills in what is known of its own."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.file_check import Check
from supervisor.core.ending import OwnRecord


@dataclass(frozen=True, slots=True)
class ProgressFile:
    """JSON in a checkpoint that says how far training is, under these keys.

    `has_step_of_name`: the tool names the checkpoint by the same step.
    """

    name: str
    step_key: str
    epoch_key: str
    has_step_of_name: bool = False


class ReadRecord(Protocol):
    """What a record's content says of the training; None where it says nothing of it."""

    def __call__(self, name: str, state: Mapping[str, Any], *, is_output: bool) -> OwnRecord | None:
        """`name`: how the record is called in its reasons. `is_output`: it is of all training."""


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """JSON that says how many steps of how many were made.

    It lies in the output directory, and in checkpoints that `folder` and their step name.
    """

    name: str
    folder: str
    read: ReadRecord


class FileProofs(Protocol):
    """What a checkpoint's own records prove of the files in it."""

    def is_surplus(self, name: str) -> bool:
        """Whether a file is none of the save, so that nothing in it matters."""

    def check(self, fd: int, size: int, name: str) -> Check | None:
        """The check for a file; None for one of which they say nothing."""


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """One tool's checkpoints. Expressions are for whole names.

    Names, without the folders before them:
    `file_endings`: what its single files end with, beyond torch's endings.
    `marks`: files of which each makes a checkpoint of a directory that a number names.
    `incomplete_mark`: a file that stands in a save which was never finished.
    `state`: files that only a save has, of kinds that are known by no ending.
    `descriptions`: files that tell about a checkpoint, so that alone they are none.

    Names, with their folders:
    `companions`: files that it saves beside weights and optimizer.
    `per_rank`: files of which there is one a rank, where one of a kind is enough; the groups are
    what all of a kind have in common.

    `number_pointer`: a file in which a number alone means a checkpoint; upper case counts as lower.

    Functions, which raise OSError:
    `best_paths`: what a checkpoint's own record calls the best; only strings count.
    `check`: raises DamagedError with a sentence for what a checkpoint lacks by its own word.
    `prove_files`: raises DamagedError with a sentence.
    `find_mixed`: what is wrong with one of which a part is of one of its neighbours.
    `told_files`: for a file that a checkpoint lacks, those of which it says itself how many there
    must be; None for a file of others.
    """

    names: tuple[NameRule, ...] = ()
    file_endings: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    incomplete_mark: str | None = None
    progress: ProgressFile | None = None
    state: str | None = None
    descriptions: str | None = None
    companions: str | None = None
    per_rank: tuple[str, ...] = ()
    number_pointer: str | None = None
    record: TrainingRecord | None = None
    best_paths: Callable[[FileListing], Iterable[object]] | None = None
    check: Callable[[FileListing], None] | None = None
    prove_files: Callable[[FileListing], FileProofs] | None = None
    find_mixed: Callable[[FileListing, Iterable[FileListing]], str | None] | None = None
    told_files: Callable[[FileListing, str], Callable[[str], bool] | None] | None = None
