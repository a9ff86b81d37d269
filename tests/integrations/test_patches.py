"""At the import of a library its adapter's `patch` is called; the module is else as without us."""

import importlib.util
import os
import zipfile

import pytest

from supervisor.integrations import hook

from .conftest import LIBRARY, NEW_ENOUGH, Installation

FACTS = """
import importlib.util, inspect, json, pickle, sys
before = importlib.util.find_spec("transformers.trainer")
print(type(before), type(before.loader), vars(before.loader), before.origin, before.cached)
print("transformers.trainer" in sys.modules)
import transformers.trainer as module
spec = module.__spec__
print(type(spec), spec.origin, spec.cached, spec.has_location, spec._initializing)
print(type(spec.loader), vars(spec.loader), spec.loader is module.__loader__)
print(sorted(vars(module)), module.__file__, repr(module))
print(inspect.getsource(module))
print(pickle.loads(pickle.dumps(module.Trainer())).__class__ is module.Trainer)
print(importlib.util.find_spec("transformers.trainer") is spec)
"""
TRAIN = "from transformers.trainer import Trainer; print(Trainer().train())"
TOLD = """
import json, pathlib
told = [json.loads(path.read_text())["told"] for path in pathlib.Path("heartbeats").glob("*.json")]
print(*(sentence for sentences in told for sentence in sentences), sep="\\n")
"""
FAILS = """
def outer():
    def inner():
        {failure}
    inner()

outer()
"""


@pytest.mark.parametrize("python", NEW_ENOUGH)
def test_the_module_is_as_without_the_hook(installation: Installation, python: str) -> None:
    """Spec, loader, source, pickling and find_spec are the same, before and after the import."""
    with_hook, without = (
        installation.says(
            FACTS,
            python=python,
            environment=installation.environment(installation.library, hook=on),
        )
        for on in (True, False)
    )
    assert with_hook == without
    assert installation.says(TRAIN, "-W", "error", python=python) == "adapted trained"


def test_a_look_alone_is_no_import(installation: Installation) -> None:
    """A program that only looks for a module gets an untouched spec, which it may load itself."""
    code = """
    import importlib.util
    spec = importlib.util.find_spec("transformers.trainer")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    print(module.Trainer().train())
    """
    assert installation.says(code) == "trained"


@pytest.mark.parametrize("python", NEW_ENOUGH)
def test_reload(installation: Installation, python: str) -> None:
    """A reloaded module is adapted again, once."""
    code = TRAIN + "; import importlib, transformers.trainer as module; importlib.reload(module);"
    said = installation.says(code + " print(module.Trainer().train())", python=python)
    assert said.splitlines() == ["adapted trained", "adapted trained"]


def test_a_lazy_import(installation: Installation) -> None:
    """A module that is loaded at its first use by importlib's own lazy loader works."""
    code = """
    import importlib.util, sys
    spec = importlib.util.find_spec("transformers.trainer")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["transformers.trainer"] = module
    spec.loader.exec_module(module)
    print(module.Trainer().train())
    """
    assert installation.says(code) in ("trained", "adapted trained")


@pytest.mark.parametrize(
    "failure", ["raise ValueError('mine')", "import absent", "raise SystemExit(3)", "1 / 0"]
)
def test_a_library_that_fails(installation: Installation, failure: str) -> None:
    """The program's traceback and exit code are those without the hook; so is a second import."""
    installation.write("library/transformers/trainer.py", FAILS.format(failure=failure))
    code = "try:\n import transformers.trainer\nexcept Exception: pass\nimport transformers.trainer"
    path = installation.write("script.py", code)
    with_hook, without = (
        installation.run(
            str(path), environment=installation.environment(installation.library, hook=on)
        )
        for on in (True, False)
    )
    assert (with_hook.returncode, with_hook.stdout) == (without.returncode, without.stdout)
    assert with_hook.stderr == without.stderr


@pytest.mark.parametrize(
    "code",
    [
        "raise ValueError('broken')",
        "import absent",
        "def patch(module): raise ValueError('broken')",
        "def patch(module): module.Trainer.absent",
        "patch = None",
        "def patch(module)",
    ],
)
def test_a_broken_adapter(installation: Installation, code: str) -> None:
    """The library works as without it, nothing is printed, and the user is told why once."""
    installation.adapt(code)
    environment = installation.environment(
        installation.library, SUPERVISOR_LAUNCHER=f"{os.getpid()}:0"
    )
    assert installation.says(TRAIN, environment=environment) == "trained"
    told = installation.says(TOLD)
    assert told.startswith("the adapter for huggingface is off: ")
    assert len(told.splitlines()) == 1 or "SyntaxError" in told


def test_a_helper_tells_nothing(installation: Installation) -> None:
    """Only a rank's own process describes it: a helper's broken adapter is not the training's."""
    installation.adapt("raise ValueError('broken')")
    assert installation.says(TRAIN) == "trained"
    assert installation.says(TOLD) == ""


def test_no_adapter(installation: Installation) -> None:
    """An adapter that is not there, as in another version, is no error."""
    (installation.package / "integrations" / "huggingface.py").unlink()
    environment = installation.environment(
        installation.library, SUPERVISOR_LAUNCHER=f"{os.getpid()}:0"
    )
    assert installation.says(TRAIN, environment=environment) == "trained"
    assert installation.says(TOLD) == ""


def test_an_adapter_that_is_not_wanted(installation: Installation) -> None:
    """`integrate: [lightning]` leaves Hugging Face alone."""
    environment = installation.environment(installation.library, SUPERVISOR_INTEGRATE="lightning")
    assert installation.says(TRAIN, environment=environment) == "trained"


def test_a_library_in_an_archive(installation: Installation) -> None:
    """One loader may have many modules: those imported meanwhile run as they are."""
    archive = installation.folder / "library.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("transformers/__init__.py", "")
        file.writestr("transformers/other.py", "X = 1")
        file.writestr("transformers/trainer.py", "from transformers import other\n" + LIBRARY)
    environment = installation.environment(archive)
    code = TRAIN + "; import transformers.other as o; print(o.X, vars(o.__loader__).keys())"
    first, second = installation.says(code, environment=environment).splitlines()
    assert first == "adapted trained"
    assert "exec_module" not in second


def test_what_was_imported_before_the_hook(installation: Installation) -> None:
    """A library that a `.pth` file has imported already is adapted at the start."""
    code = f"""
    import sys
    sys.path.insert(0, {str(installation.library)!r})
    import transformers.trainer
    sys.path.insert(0, {str(installation.startup)!r})
    try:
        import sitecustomize
    except ImportError:
        pass
    print(transformers.trainer.Trainer().train())
    """
    environment = installation.environment(hook=False)
    assert installation.says(code, environment=environment) == "adapted trained"


def test_another_import_hook_before(installation: Installation) -> None:
    """A finder that the program puts first, and that finds by the others, sees the true loader."""
    code = """
    import sys
    from importlib.machinery import SourceFileLoader

    class First:
        def find_spec(self, name, path=None, target=None):
            for finder in sys.meta_path:
                if finder is not self and (spec := finder.find_spec(name, path, target)):
                    if name == "transformers.trainer":
                        print(type(spec.loader) is SourceFileLoader)
                    return spec

    sys.meta_path.insert(0, First())
    import transformers.trainer
    print(transformers.trainer.Trainer().train())
    """
    said = installation.says(code)
    assert said.splitlines() == ["True", "adapted trained"]


@pytest.mark.parametrize("python", NEW_ENOUGH)
def test_entry_points(installation: Installation, python: str) -> None:
    """Lightning finds its factory, which is callable and empty without an adapter."""
    code = """
    import importlib.metadata as metadata, sys
    group = "lightning.pytorch.callbacks_factory"
    new = sys.version_info >= (3, 10)
    found = metadata.entry_points(group=group) if new else metadata.entry_points()[group]
    (found,) = [each for each in found if each.name == "train_supervisor"]
    print(found.load()(), found.value)
    """
    said = installation.says(code, python=python)
    assert said == "[] _train_supervisor.integrations.factories:pytorch_callbacks"


def test_factories_that_fail(installation: Installation) -> None:
    """An adapter that cannot make its callbacks gives none; one that can gives its own."""
    code = """
    import importlib.metadata as metadata
    groups = ["lightning.pytorch", "pytorch_lightning", "lightning.fabric"]
    for group in groups:
        (found,) = metadata.entry_points(group=group + ".callbacks_factory")
        print(found.load()())
    """
    installation.adapt("def callbacks(): raise ValueError('broken')", "lightning_factory")
    assert installation.says(code).split() == ["[]"] * 3
    installation.adapt("def callbacks(): return [1]", "lightning_factory")
    assert installation.says(code).split() == ["[1]", "[1]", "[]"]


def test_it_is_in_no_list_of_packages(installation: Installation) -> None:
    """Trackers write lists of packages, to install them again: ours is on no index."""
    code = """
    import importlib.metadata as metadata
    print([each for each in metadata.distributions() if "supervisor" in each.metadata["Name"]
           and each.version == "1"])
    print(metadata.version("train-supervisor-hook"))
    print(list(metadata.distributions(path=["/nonexistent"])))
    """
    assert installation.says(code).split() == ["[]", "1", "[]"]


def test_importlib_says_so_here_too() -> None:
    """The names that tell an import from a look exist in this Python."""
    found: list[str] = []

    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            import sys

            frame = sys._getframe(1)
            while frame.f_back is not None and len(found) < 3:
                found.append(frame.f_code.co_name)
                frame = frame.f_back

    import sys

    sys.meta_path.insert(0, Finder())
    try:
        with pytest.raises(ModuleNotFoundError):
            import absent_module  # type: ignore[import-not-found]  # noqa: F401
    finally:
        sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, Finder)]
    assert found[:2] == ["_find_spec", "_find_and_load_unlocked"]
    assert importlib.util.find_spec("absent_module") is None


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("auto", {"accelerate", "huggingface", "lightning", "torch", "wandb"}),
        ("none", set()),
        ("accelerate", {"accelerate", "torch"}),
        ("lightning", {"lightning", "torch"}),
        ("huggingface", {"huggingface"}),
        ("torch", {"torch"}),
    ],
)
def test_what_an_adapter_brings_along(
    monkeypatch: pytest.MonkeyPatch, said: str, wanted: set[str]
) -> None:
    """A stop that waited for a save ends at the loop's next step, which torch alone tells of."""
    monkeypatch.setenv("SUPERVISOR_INTEGRATE", said)
    names = set(hook.ADAPTED.values())
    assert {name for name in names if hook.is_wanted(name)} == wanted
