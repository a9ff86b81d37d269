"""What can be said of one tool's checkpoints: each tool fills in what is known of its own."""

from dataclasses import dataclass

from supervisor.checkpoint.formats.name_rule import NameRule


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """One tool's checkpoints.

    `file_endings`: what its single files end with, beyond torch's endings.
    `marks`: files of which each makes a checkpoint of a directory that a number names.
    """

    names: tuple[NameRule, ...] = ()
    file_endings: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
