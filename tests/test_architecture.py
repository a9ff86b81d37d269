"""The shape of the code base: which module may import which, and what every file must have."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 300

# The folders of `supervisor/`, lowest floor first. A folder imports only from floors below its own,
# and folders on one floor do not import each other. Named and not built yet: `agent` (the launcher
# of a further node), `gpu`, `history` (the ledger over time), `notify`, `report`, `web`.
FLOORS = (
    {"worker"},
    {"system"},
    {"core"},
    {"errors"},
    {"checkpoint", "config", "diagnosis", "gpu", "slurm"},
    {"memory", "rundir"},
    {"history", "hooks", "notify", "standby", "survey", "torch"},
    {"integrations", "launcher"},
    {"agent", "daemon"},
    {"report"},
    {"web"},
    {"cli"},
)
CORE_MAY_IMPORT = frozenset(
    {"__future__", "abc", "bisect", "collections", "dataclasses", "enum", "functools", "itertools"}
    | {"hashlib", "math", "operator", "types", "typing"}
)
# These processes must be small, or a user's training script imports these modules.
STANDARD_LIBRARY_ONLY = (
    "supervisor.launcher",
    "supervisor.worker",
    "supervisor.worker.heartbeat",
    "supervisor.system.identity",
    "supervisor.integrations.hook",
    "supervisor.integrations.training",
)
CHECKPOINT_MAY_IMPORT = frozenset({"isal", "xxhash"})
# Every module may import this part of the core; it brings in `enum` and nothing else.
VOCABULARY = "supervisor.core.vocabulary"
# The trainer's words in the vocabulary come from here: trainers' Pythons do not load the core.
WORKER_CONTRACT = "supervisor.worker.contract"
TRAIN_MAY_IMPORT = ("supervisor.worker", "supervisor.checkpoint", "supervisor.torch")
WITH_TORCH = ("supervisor.torch", "supervisor.integrations")
# What adapters adapt, or need for it. They import it in functions.
ADAPTED = ("accelerate", "lightning", "pytorch_lightning", "torch", "transformers")
# Python imports it by this name; it loads the others under their private name.
STARTUP = ROOT / "supervisor" / "integrations" / "startup" / "sitecustomize.py"
# Old folders that hold only stubs for processes that live through an upgrade, and where each leads.
PATHS_OF_BEFORE = {"parked": "standby", "snapshot": "memory", "watch": "daemon"}


def module_name(path: Path) -> str:
    """`supervisor/core/__init__.py` → `supervisor.core`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(package: str) -> list[Path]:
    """Return all modules of a top-level package."""
    return sorted((ROOT / package).rglob("*.py"))


@cache
def imports(path: Path) -> list[tuple[str, int]]:
    """Return every module that a file imports, inside functions too, with its line."""
    return list(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            # `from supervisor import worker` imports supervisor.worker, not all of supervisor.
            submodules = [
                f"{name}.{alias.name}"
                for alias in node.names
                if (ROOT / name.replace(".", "/") / f"{alias.name}.py").exists()
                or (ROOT / name.replace(".", "/") / alias.name / "__init__.py").exists()
            ]
            yield from ((submodule, node.lineno) for submodule in submodules or [name])


def is_within(module: str, packages: tuple[str, ...]) -> bool:
    """Whether a module is one of these packages or inside one of them."""
    return any(module == package or module.startswith(package + ".") for package in packages)


def floor(module: str) -> int:
    """The floor of a module of `supervisor`, 0 for the lowest. Raises KeyError if it has none."""
    part = module.split(".")[1]
    part = PATHS_OF_BEFORE.get(part, part)
    for number, rooms in enumerate(FLOORS):
        if part in rooms:
            return number
    raise KeyError(f"{module}: on no floor of FLOORS")


def is_standard(module: str) -> bool:
    """Whether the module comes with Python."""
    return module.split(".")[0] in sys.stdlib_module_names


Rule = Callable[[str, str], bool]


def offences(paths: list[Path], rule: Rule) -> list[str]:
    """Each import that a rule does not allow, as `file:line imports module`."""
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in paths
        for name, line in imports(path)
        if not rule(module_name(path), name)
    ]


def lower_floors_only(module: str, imported: str) -> bool:
    """Allow the floors below, the same folder, and `supervisor` itself for its version."""
    if not is_within(imported, ("supervisor",)) or imported == "supervisor":
        return True
    if module in ("supervisor", "supervisor.__main__"):
        return (module, imported) == ("supervisor.__main__", "supervisor.cli")
    room = ".".join(module.split(".")[:2])
    return is_within(imported, (room,)) or floor(imported) < floor(module)


def pure_modules_only(module: str, imported: str) -> bool:
    """Allow modules that take facts and time as arguments: no clock, no file, no process."""
    return (
        is_within(imported, ("supervisor.core",))
        or imported.split(".")[0] in CORE_MAY_IMPORT
        or (module, imported) == (VOCABULARY, WORKER_CONTRACT)
    )


def never_torch(module: str, imported: str) -> bool:
    """Allow torch only in `supervisor.torch` and `integrations`, which may import each other.

    Other modules may import neither, and none may import what builds on the supervisor.
    """
    if is_within(imported, ("train", "demo", "benchmarks", "tests")):
        return False
    return is_within(module, WITH_TORCH) or not is_within(imported, ("torch", *WITH_TORCH))


def only_itself(module: str, imported: str) -> bool:
    """Allow the worker its own modules and Python's: users' interpreters load it."""
    return is_within(imported, ("supervisor.worker",)) or is_standard(imported)


def worker_and_the_adapted(module: str, imported: str) -> bool:
    """Allow adapters the worker, themselves, Python's modules, and the libraries they adapt."""
    ours = ("supervisor.worker", "supervisor.integrations", "sitecustomize", "_train_supervisor")
    return is_within(imported, (*ours, *ADAPTED)) or is_standard(imported)


def only_the_contract(module: str, imported: str) -> bool:
    """Allow the trainer the worker's interface, the checkpoint format and `supervisor.torch`."""
    return not is_within(imported, ("supervisor",)) or is_within(imported, TRAIN_MAY_IMPORT)


@pytest.mark.parametrize(
    ("folder", "rule"),
    [
        ("supervisor", lower_floors_only),
        ("supervisor/core", pure_modules_only),
        ("supervisor", never_torch),
        ("supervisor/worker", only_itself),
        ("supervisor/integrations", worker_and_the_adapted),
        ("train", only_the_contract),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_imports_keep_their_direction(folder: str, rule: Rule) -> None:
    """No module imports what its place in the tree forbids."""
    paths = sources(folder)
    assert paths
    assert offences(paths, rule) == []


def test_no_circle() -> None:
    """No import circle exists over any number of modules, imports for types included."""
    known = {module_name(path): path for path in (*sources("supervisor"), *sources("train"))}
    needs = {
        name: {imported for imported, _ in imports(path) if imported in known and imported != name}
        for name, path in known.items()
    }
    assert circle_in(needs) == []
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def circle_in(needs: dict[str, set[str]]) -> list[str]:
    """The nodes left after removing, repeatedly, nodes that need nothing or that none needs."""
    left = dict(needs)
    while True:
        needed = set().union(*left.values()) if left else set()
        free = {name for name, its in left.items() if not its & left.keys() or name not in needed}
        if not free:
            return sorted(left)
        left = {name: its - free for name, its in left.items() if name not in free}


IN_TRAINERS = [*sources("supervisor/worker"), *sources("supervisor/integrations")]


@pytest.mark.parametrize("path", IN_TRAINERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_trainers_load_can_be_loaded_under_another_name(path: Path) -> None:
    """Imports of worker and adapters among themselves are relative; Python 3.9 can parse them."""
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Match), f"{path}:{node.lineno}: Python 3.10"
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [str(node.module)]
        assert "supervisor" not in [name.partition(".")[0] for name in names], path


def imported_at_once(path: Path) -> set[str]:
    """The top-level packages that importing this module alone would import."""
    pending, found = list(ast.parse(path.read_text()).body), set()
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif not isinstance(node, ast.FunctionDef):
            inner = ast.stmt | ast.excepthandler
            pending += [child for child in ast.iter_child_nodes(node) if isinstance(child, inner)]
    return found


@pytest.mark.parametrize(
    "path", [path for path in sources("supervisor/integrations") if path != STARTUP], ids=str
)
def test_adapters_import_their_library_in_functions(path: Path) -> None:
    """Importing an adapter loads no library: a program without one must not pay for it."""
    assert {name for name in imported_at_once(path) if not is_standard(name)} == set()


def test_the_start_of_a_trainer_imports_nothing(tmp_path: Path) -> None:
    """`hook` has only what Python has loaded; planted imports are found."""
    hook = ROOT / "supervisor" / "integrations" / "hook.py"
    assert imported_at_once(hook) == {"os", "sys"}
    planted = tmp_path / "adapter.py"
    planted.write_text(
        "try:\n    import torch.nn\nexcept ImportError:\n    from lightning import x\n"
        "class A:\n    import accelerate\n    def f(self):\n        import transformers\n"
    )
    assert imported_at_once(planted) == {"torch", "lightning", "accelerate"}


@cache
def closure(module: str) -> dict[str, Path]:
    """The modules of `supervisor` that importing this module brings in, itself included."""
    found: dict[str, Path] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        place = ROOT / name.replace(".", "/")
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if name in found or not path.exists():
            continue
        found[name] = path
        parent = name.rpartition(".")[0]
        pending += [parent] if parent else []
        pending += [
            imported for imported, _ in imports(path) if is_within(imported, ("supervisor",))
        ]
    return found


def modules_under(name: str) -> list[str]:
    """The modules of a package, or the module itself."""
    place = ROOT / name.replace(".", "/")
    return [module_name(path) for path in sorted(place.rglob("*.py"))] if place.is_dir() else [name]


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        *((name, frozenset[str]()) for name in STANDARD_LIBRARY_ONLY),
        ("supervisor.checkpoint", CHECKPOINT_MAY_IMPORT),
    ],
)
def test_small_parts_stay_small(package: str, allowed: frozenset[str]) -> None:
    """Neither a small part nor any module that it brings in uses a package beyond those allowed."""
    assert closure(package)
    foreign = {
        f"{name} imports {imported}"
        for module in modules_under(package)
        for name, path in closure(module).items()
        for imported, _ in imports(path)
        if not is_standard(imported)
        and not is_within(imported, ("supervisor",))
        and imported.split(".")[0] not in allowed
    }
    assert foreign == set()


@pytest.mark.parametrize(
    ("package", "also"),
    [
        *((name, ()) for name in (*STANDARD_LIBRARY_ONLY, "supervisor.standby")),
        ("supervisor.checkpoint", ("supervisor.core.ending",)),
    ],
)
def test_small_parts_take_words_alone_from_the_core(package: str, also: tuple[str, ...]) -> None:
    """The daemon makes the decisions: small parts share only the vocabulary with it."""
    taken = {
        f"{name} imports {imported}"
        for name in modules_under(package)
        for imported, _ in imports(closure(name)[name])
        if is_within(imported, ("supervisor.core",)) and imported not in {VOCABULARY, *also}
    }
    assert taken == set()


def test_the_vocabulary_is_light() -> None:
    """The vocabulary imports no tables, so the launcher and a parked interpreter may import it."""
    code = (
        f"import enum, sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules);"
        f"import {VOCABULARY}; print(*sorted(set(sys.modules) - before))"
    )
    brought = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert brought.stdout.split() == [
        "supervisor", "supervisor.core", "supervisor.core.failures",
        "supervisor.core.recorded_word", VOCABULARY, "supervisor.worker", WORKER_CONTRACT,
    ]  # fmt: skip


@pytest.mark.parametrize("module", ["supervisor.cli", "supervisor.daemon.__main__"])
def test_nothing_heavy_is_loaded(module: str) -> None:
    """Importing the program does not load torch, numpy or the trainer by any detour."""
    code = f"import sys, {module}; print(sorted({{'torch', 'numpy', 'train'}} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert loaded.stdout.strip() == "[]"


# Names that two modules may share, each with the reason.
NAMED_TWICE = {
    "ConfigurationError": "supervisor.torch is used alone too, and its users catch it by this name",
}


def test_a_class_name_stands_once() -> None:
    """No name is a class in one module and a class or alias in another."""
    found: dict[str, set[str]] = {}
    for path in (*sources("supervisor"), *sources("train")):
        for name in class_names(ast.parse(path.read_text())):
            found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    twice = {name: sorted(paths) for name, paths in found.items() if len(paths) > 1}
    assert twice.keys() == NAMED_TWICE.keys(), twice


def class_names(tree: ast.Module) -> Iterator[str]:
    """Every class, nested ones too, and every `Name = namedtuple(…)`, `Literal[…]` and the like."""
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    for node in tree.body:
        match node:
            case ast.Assign([ast.Name(name)], ast.Subscript() | ast.Call() | ast.BinOp()):
                # Constants are in capitals, and a few are private.
                yield from [name] if name.lstrip("_")[0].isupper() and not name.isupper() else []
            case _:
                pass


OURS = ("supervisor", "train", "demo", "benchmarks", "docs")
SHIPPED = [path for package in OURS for path in sources(package)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_why_it_exists(path: Path) -> None:
    """Each module has a docstring and at most 300 lines, so that it holds one idea."""
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert text.count("\n") <= MAX_LINES


def test_children_of_the_daemon_stay_in_its_session() -> None:
    """By that a launcher knows them once their daemon is dead. It would end others as strays."""
    # Where the launcher lives, it starts the persister itself.
    parts = (*sources("supervisor/daemon"), *sources("supervisor/notify"))
    assert [path for path in parts if "start_new_session" in path.read_text()] == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_silent_except(path: Path) -> None:
    """A broad `except` does more than `pass`: it logs, counts or raises."""
    silent = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and all(isinstance(statement, ast.Pass) for statement in node.body)
    ]
    assert silent == []


def test_every_test_says_what_it_holds() -> None:
    """Each test has a docstring, so that a failure reads as a broken promise."""
    mute = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sources("tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert mute == []


def test_the_rules_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule reports a planted offence, including relative and nested imports."""
    core = tmp_path / "supervisor" / "core"
    core.mkdir(parents=True)
    for package in (core.parent, core, tmp_path / "train", tmp_path / "supervisor" / "daemon"):
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text('"""A package."""\n')
    planted = core / "clock.py"
    planted.write_text(
        "def now():\n    import time\n    from ..daemon import loop\n    import torch\n"
    )
    trainer = tmp_path / "train" / "loop.py"
    trainer.write_text("from supervisor.daemon import loop\nfrom supervisor.worker import attach\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)

    assert [line for _, line in imports(planted)] == [2, 3, 4]
    assert len(offences([planted], pure_modules_only)) == 3
    assert offences([planted], lower_floors_only) == [
        "supervisor/core/clock.py:3 imports supervisor.daemon"
    ]
    assert offences([planted], never_torch) == ["supervisor/core/clock.py:4 imports torch"]
    assert offences([trainer], only_the_contract) == ["train/loop.py:1 imports supervisor.daemon"]
