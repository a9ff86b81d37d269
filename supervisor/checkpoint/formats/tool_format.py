"""The description of a tool's checkpoints. Each tool's module fills in what is known of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from supervisor.checkpoint.formats.inside import Inside
from supervisor.checkpoint.formats.name_rule import CheckpointName, NameRule
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.file_check import Check
from supervisor.core.ending import OwnRecord


@dataclass(frozen=True, slots=True)
class ProgressFile:
    """A JSON file in a checkpoint that says how far training is, under these keys.

    `has_step_of_name`: the tool writes the same step into the checkpoint's name.
    """

    name: str
    step_key: str
    epoch_key: str
    has_step_of_name: bool = False


class ReadRecord(Protocol):
    """A function that reads what a record says of the training."""

    def __call__(self, name: str, state: Mapping[str, Any], *, is_output: bool) -> OwnRecord | None:
        """Return what the content `state` says of the training; None if it says nothing.

        `name`: the record's name in messages. `is_output`: it lies in the output directory.
        """


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """A JSON file that says how many steps were done and how many are planned.

    It lies in the output directory, and in the checkpoints whose name is `folder` and the step.
    """

    name: str
    folder: str
    read: ReadRecord


@dataclass(frozen=True, slots=True)
class SharedFileName:
    """Names of single files that other programs use too, so that the content must tell.

    `pattern` matches the whole name, with a group `number`. `read`: what name and content say, by
    the file's listing and that number; None if it is no checkpoint. It raises OSError.
    """

    pattern: str
    read: Callable[[FileListing, int], CheckpointName | None]


class FileProofs(Protocol):
    """What a checkpoint's own records prove of the files in it."""

    def is_surplus(self, name: str) -> bool:
        """Whether a file is no part of the save, so that its content does not matter."""

    def check(self, fd: int, size: int, name: str) -> Check | None:
        """The check for a file; None if the records say nothing of it."""


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """One tool's checkpoints. Each expression matches a whole name.

    Names of files, without the folders before them:
    `file_endings`: the endings of the tool's single files, beyond torch's endings.
    `marks`: files each of which shows that a directory with a number as its name is a checkpoint.
    `incomplete_mark`: a file that only a save which was never finished holds.
    `state`: files that only a save holds, of kinds that no ending shows.
    `descriptions`: files that only describe a checkpoint. Such files alone make no checkpoint.

    Names of files, with their folders:
    `essential`: endings of files that each save of a series must have if one before it has them.
    `companions`: files that the tool saves beside weights and optimizer.
    `per_rank`: files that each rank writes, but one of a kind is enough. The groups are the parts
    of the name that all files of a kind share.

    `shared_file`: names of single files that the content must confirm.
    `folder`: the folder, below the directory that the user names, in which the tool makes its
    checkpoints by itself. Only the tool's own names count there.

    `resume`: how the tool is told to resume, with the lines of our configuration for it.
    `sign`: a file that shows this tool wrote a directory. Without it the name shows that.
    `is_sign_common`: other tools write that file, too, so that a name says more.

    `number_pointer`: a file in which a bare number means a checkpoint. Case is ignored.
    `record`: the tool's record of how far its training is.

    Functions, which raise OSError:
    `best_paths`: the paths that a checkpoint's own record calls the best. Only strings count.
    `check`: raises DamagedError with a sentence if a checkpoint lacks a file that it must have, as
    its other files show.
    `prove_files`: reads the checkpoint's records of its files. Raises DamagedError with a sentence.
    `read_inside`: what the dict in a single file of torch.save says, by its entries; None if the
    file is not of this tool. It reads no file.
    `find_mixed`: a sentence if a part of a checkpoint is of a neighbour; else None.
    `told_files`: given a file that a checkpoint lacks, a test for the files that it may lack by its
    own record; None if the record does not cover that file.
    """

    names: tuple[NameRule, ...] = ()
    file_endings: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    incomplete_mark: str | None = None
    progress: ProgressFile | None = None
    state: str | None = None
    descriptions: str | None = None
    essential: tuple[str, ...] = ()
    companions: str | None = None
    per_rank: tuple[str, ...] = ()
    shared_file: SharedFileName | None = None
    folder: str | None = None
    resume: str | None = None
    sign: str | None = None
    is_sign_common: bool = False
    number_pointer: str | None = None
    record: TrainingRecord | None = None
    best_paths: Callable[[FileListing], Iterable[object]] | None = None
    check: Callable[[FileListing], None] | None = None
    prove_files: Callable[[FileListing], FileProofs] | None = None
    read_inside: Callable[[Mapping[str, object]], Inside | None] | None = None
    find_mixed: Callable[[FileListing, Iterable[FileListing]], str | None] | None = None
    told_files: Callable[[FileListing, str], Callable[[str], bool] | None] | None = None
