"""The modules that parking leaves in sys.modules beside preloaded ones: a list, with reasons.

A program may look there, put a stub there before it imports, or have a file of that name.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from standin import Parked, run_cold

from supervisor.standby import start

# Modules that the parked interpreter imports by name; each brings in its own imports.
NEEDED = {
    "collections": "named tuples",
    "ctypes": "the memory in which Python keeps its program; what `os` has no function for",
    "encodings.ascii": "files of /proc",
    f"encodings.utf_32_{sys.byteorder[0]}e": "texts as Python's configuration has them",
    "errno": "which refusals of the kernel are to be expected",
    "fcntl": "descriptors above the standard ones, and their flags",
    "gc": "what the imports left is collected before it waits",
    "importlib.machinery": "suffixes of files that would be imported instead",
    "importlib.util": "whether torch is installed",
    "json": "the words of the launcher, and what was seen of the program",
    "re": "whether a command is Python",
    "signal": "the launcher's death signal",
    "struct": "pointers",
    "sysconfig": "where packages are installed",
    "zlib": "digests of variables",
}
WITH_A_RECORD = {"random": "its generator has to be known from before the first import"}
# Large modules, or modules with effects, which no cold trainer has without asking for them.
NEVER = {"dataclasses", "typing", "inspect", "logging", "subprocess", "socket", "pathlib", "ast"}

PROGRAM = """import sys; first = sorted(sys.modules)
import json, os
if "SUPERVISOR_IMPORTS" in os.environ:
    import decimal
    from supervisor.worker.imports import recorder
    recorder.record(os.environ["SUPERVISOR_IMPORTS"])
found = {"first": first, "last": sorted(sys.modules)}
with open(os.environ["SUPERVISOR_OUT"], "w") as file:
    json.dump(found, file)
"""


class Program:
    """A program that reports sys.modules at its first and at its last line."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.script, self.out = folder / "script.py", folder / "modules.json"
        self.environ = {**environ, "SUPERVISOR_OUT": str(self.out)}
        self.script.write_text(PROGRAM)
        self.argv = [sys.executable, str(self.script)]

    def told(self, name: str) -> set[str]:
        """What the program reported last."""
        return set(json.loads(self.out.read_text())[name])

    def cold(self, text: str = PROGRAM) -> None:
        """Run the program cold, or another text in its place."""
        self.script.write_text(text)
        environ = start.observed(self.environ)
        log = self.folder / "log"
        assert run_cold(self.argv, environ, cwd=self.folder, log=log) == 0, log.read_text()

    def warm(self, park: Callable[..., Parked], **options: object) -> None:
        """Run the program in an interpreter that was parked for it."""
        parked = park(self.argv, self.environ, **options)
        said = parked.hear()
        assert said.get("parked", {}).get("left_out") == [], said
        assert parked.go(self.folder / "log") == {"going": True}
        assert parked.wait() == 0

    def brought_by(self, names: Iterable[str]) -> set[str]:
        """The modules in a cold interpreter that imports these names."""
        asked = "".join(f"import {name}\n" for name in names)
        self.cold(f"{asked}sysconfig.get_paths()\n{PROGRAM}")
        return self.told("first")


@pytest.fixture
def program(tmp_path: Path, environ: dict[str, str]) -> Program:
    """A program in a folder of its own."""
    return Program(tmp_path, environ)


def test_nothing_but_what_is_needed(program: Program, park: Callable[..., Parked]) -> None:
    """With nothing preloaded, each name that only a warm program finds has its reason."""
    allowed = program.brought_by(NEEDED)
    program.cold()
    cold = program.told("first")
    program.warm(park, preload=[])
    warm = program.told("first")
    assert cold <= warm
    assert warm - cold - allowed == set()
    assert warm >= NEEDED.keys()
    assert not (warm - cold) & NEVER


def test_with_a_record_of_imports(program: Program, park: Callable[..., Parked]) -> None:
    """Beside those names, a warm program has only the modules that its record lists."""
    allowed = program.brought_by({**NEEDED, **WITH_A_RECORD})
    record = program.folder / "imports.json"
    program.environ["SUPERVISOR_IMPORTS"] = str(record)
    program.environ["SUPERVISOR_LAUNCHER"] = f"{os.getpid()}:1:1"
    program.environ["SUPERVISOR_ATTEMPT"] = "1"
    program.cold()
    cold, imported = program.told("first"), program.told("last")
    assert "decimal" in imported - cold
    program.warm(park, record=record)
    warm = program.told("first")
    assert cold <= warm
    assert "decimal" in warm
    assert warm - imported - allowed == set()
    assert warm >= WITH_A_RECORD.keys()
    assert not (warm - imported) & NEVER
