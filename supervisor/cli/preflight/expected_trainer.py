"""Which library a command seems to train with, before it runs: by its words and its script.

Nothing is run or imported. What is found here is told, and a start may wait for what it promises;
no run is refused for it alone.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from supervisor.config.model import RunConfig

_MOST_BYTES = 256 << 10
# Program or module, the library that it trains with.
_TOOLS = {
    "trl": "huggingface", "llamafactory-cli": "huggingface", "axolotl": "huggingface",
    "axolotl.cli.train": "huggingface", "yolo": "ultralytics",
}  # fmt: skip
_NAMES = {
    "huggingface": "transformers' Trainer",
    "lightning": "Lightning",
    "accelerate": "accelerate",
    "ultralytics": "ultralytics",
}
ADAPTED = frozenset({"huggingface", "lightning"})
"""Libraries with an adapter that saves at a stop, and resumes."""
# What a script imports, and what it has to call besides.
_SIGNS = (
    ("huggingface", r"transformers|trl|sentence_transformers", r"\b\w*Trainer\("),
    ("lightning", r"lightning|pytorch_lightning", r"\b(?:Trainer|LightningCLI)\("),
    ("ultralytics", r"ultralytics", r"\.train\("),
    ("accelerate", r"accelerate", r"\bAccelerator\("),
)


@dataclass(frozen=True, slots=True)
class ExpectedTrainer:
    """A library that a command seems to train with."""

    library: str
    """As adapters are named: `huggingface`."""
    why: str
    """How that is known."""
    takes_arguments: bool = False
    """Whether the library's own arguments are options of the command."""

    @property
    def name(self) -> str:
        """As its users know it."""
        return _NAMES[self.library]

    @property
    def is_adapted(self) -> bool:
        """Whether there is an adapter that saves at a stop, and resumes."""
        return self.library in ADAPTED


def expected_trainer(config: RunConfig) -> ExpectedTrainer | None:
    """The library that the command seems to train with; None where nothing tells."""
    for word in config.command:
        library = _TOOLS.get(os.path.basename(word))  # noqa: PTH119 -- a word, not a path
        if library is not None:
            return ExpectedTrainer(library, f"the command runs {word}", takes_arguments=True)
    script = next((word for word in config.command if word.endswith(".py")), None)
    if script is None:
        return None
    try:
        with (Path(config.cwd or ".") / script).open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    for library, modules, call in _SIGNS:
        imported = re.search(rf"^\s*(?:from|import)\s+({modules})\b", text, re.MULTILINE)
        if imported is not None and re.search(call, text):
            why = f"{script} imports {imported[1]}"
            return ExpectedTrainer(library, why, takes_arguments="HfArgumentParser" in text)
    return None


def options_of(command: Sequence[str]) -> dict[str, str]:
    """The options of a command by name, without dashes; an option without a value has none."""
    found: dict[str, str] = {}
    for at, word in enumerate(command):
        if not word.startswith("--") or word == "--":
            continue
        name, equals, value = word[2:].partition("=")
        after = command[at + 1] if at + 1 < len(command) else "-"
        found[name.replace("-", "_")] = value if equals else "" if after[:1] == "-" else after
    return found
