"""Lists all late imports of processes that live through an upgrade, with their reasons.

A module imported after the files were replaced is of another version than its importer. While the
files are being replaced, the module does not exist.
"""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("supervisor", "train")
# The long-lived processes, by the modules with which each begins.
PROCESSES = {
    "the launcher": ("supervisor.launcher.__main__",),
    "the daemon": ("supervisor.daemon.__main__",),
    "its reader of checkpoints": ("supervisor.survey.__main__",),
    "the persister": ("supervisor.memory.__main__",),
    "the view": ("supervisor.cli.show.view",),
    "the parked interpreter": ("supervisor.standby.waiting",),
    "a trainer": (
        *("supervisor.worker", "supervisor.checkpoint.commit", "supervisor.memory.slots"),
        *("supervisor.standby.observing", "train.__main__"),
        *("supervisor.integrations.hook", "supervisor.integrations.factories"),
        *("supervisor.integrations.entry_points", "supervisor.integrations.training"),
    ),
}
AT_ITS_START = {
    ("supervisor.launcher.__main__", "supervisor.launcher.children.daemon"),
    ("supervisor.launcher.__main__", "supervisor.launcher.loop"),
    ("supervisor.daemon.__main__", "supervisor.daemon.light_imports"),
    ("supervisor.daemon.__main__", "supervisor.daemon.main"),
    ("supervisor.survey.__main__", "supervisor.checkpoint.prune"),
    ("train.__main__", "train.session"),
    ("supervisor.worker", "supervisor.worker.rank"),
}
# The value is the module that has imported the late module earlier.
THERE_BY_THEN = {
    ("supervisor.cli.record", "supervisor.cli.show.slurm_queue"): "supervisor.cli.show.view",
    ("supervisor.cli.record", "supervisor.cli.runtime_directories"): "supervisor.cli.show.view",
    ("supervisor.cli.record", "supervisor.cli.still_running"): "supervisor.cli.show.view",
}
# `read_history` imports these, and only short commands call it.
IN_COMMANDS = {
    ("supervisor.cli.record", "supervisor.core.replay"),
    ("supervisor.cli.record", "supervisor.rundir.ledger_entries"),
}
# The first answer comes at the daemon's start; with it the reader imports all of these.
BEHIND_ITS_FIRST_ANSWER = {
    ("supervisor.survey.__main__", "supervisor.memory.snapshot_proof"),
    ("supervisor.survey.memory_tier", "supervisor.memory.slots"),
    ("supervisor.survey.memory_tier", "supervisor.memory.stream"),
    ("supervisor.survey.memory_tier", "supervisor.memory.snapshot_proof"),
}
# Another version's module also works here, and the import may fail: a test covers each case.
MAY_BE_GONE = {
    ("supervisor.worker.imports.first_beat", "supervisor.worker.imports.recorder"),
    ("supervisor.worker.page_owner", "supervisor.worker.mounts"),
    ("supervisor.integrations.hook", "supervisor.integrations.telling"),
    ("supervisor.integrations.factories", "supervisor.integrations.following"),
    ("supervisor.integrations.entry_points", "supervisor.integrations.factories"),
    ("supervisor.integrations.store_agreement", "supervisor.integrations.world_store"),
    ("supervisor.integrations.renewed_place", "supervisor.integrations.time_in_path"),
}


@cache
def path_of(module: str) -> Path | None:
    """The file of one of our modules; None for other modules."""
    place = ROOT / module.replace(".", "/")
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return path if path.exists() else None


def absolute_name(module: str, path: Path, node: ast.ImportFrom) -> str:
    """The absolute name of an imported module, relative or not."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")[: None if path.name == "__init__.py" else -1]
    folder = parts[: len(parts) - node.level + 1]
    return ".".join([*folder, *([node.module] if node.module else [])])


@cache
def imports(module: str) -> frozenset[tuple[str, bool]]:
    """Our modules that a module imports, and whether each import is late: in a function."""
    path = path_of(module)
    assert path is not None
    found: set[tuple[str, bool]] = set()
    pending: list[tuple[ast.AST, bool]] = [(ast.parse(path.read_text()), False)]
    while pending:
        node, is_late = pending.pop()
        match node:
            case ast.If(ast.Name("TYPE_CHECKING")):
                pending += [(one, is_late) for one in node.orelse]
            case ast.Import():
                found |= {(one.name, is_late) for one in node.names if path_of(one.name)}
            case ast.ImportFrom():
                name = absolute_name(module, path, node)
                inner = {f"{name}.{one.name}" for one in node.names}
                named = {one for one in inner if path_of(one)} or (
                    {name} if path_of(name) else set()
                )
                found |= {(one, is_late) for one in named}
            case ast.stmt() | ast.Module() | ast.ExceptHandler() | ast.match_case():
                is_inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                pending += [(one, is_late or is_inside) for one in ast.iter_child_nodes(node)]
    return frozenset(found)


def late_imports(beginnings: tuple[str, ...]) -> set[tuple[str, str]]:
    """Pairs of a module and its late import, for all modules of a process."""
    found: set[tuple[str, str]] = set()
    seen: set[str] = set()
    pending = list(beginnings)
    while pending:
        module = pending.pop()
        if module not in seen:
            seen.add(module)
            found |= {(module, name) for name, is_late in imports(module) if is_late}
            pending += [name for name, _ in imports(module)]
    return found


def test_each_has_its_reason() -> None:
    """Each late import has its reason above; a new one is imported early or added there."""
    known = AT_ITS_START | THERE_BY_THEN.keys() | BEHIND_ITS_FIRST_ANSWER | MAY_BE_GONE
    known |= IN_COMMANDS
    assert set().union(*map(late_imports, PROCESSES.values())) == known


@pytest.mark.parametrize(
    ("late", "by"),
    [
        *((late, by) for (_, late), by in THERE_BY_THEN.items()),
        *(
            (late, "supervisor.memory.snapshot_proof")
            for _, late in sorted(BEHIND_ITS_FIRST_ANSWER)
        ),
    ],
)
def test_what_is_there_by_then(late: str, by: str) -> None:
    """The named module does import the late module."""
    code = f"import sys, {by}; sys.exit({late!r} not in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
