"""The finder that hears of a library's import in a trainer, and then calls the adapter's `patch`.

It finds nothing itself but the private package and its entry points. It may import nothing that
Python has not loaded before a program begins, and no error of it reaches the program.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.metadata import Distribution
    from types import FrameType, ModuleType
    from typing import Any

_PACKAGE = "_train_supervisor"
_DISTRIBUTION = "train-supervisor-hook"
_LIGHTNING = "lightning"
# The module of a library, and the adapter whose `patch(module)` is called once it is imported.
ADAPTED = {
    "transformers.trainer": "huggingface",
    "lightning.pytorch.trainer.trainer": _LIGHTNING,
    "lightning.pytorch.trainer.connectors.signal_connector": _LIGHTNING,
    "pytorch_lightning.trainer.trainer": _LIGHTNING,
    "pytorch_lightning.trainer.connectors.signal_connector": _LIGHTNING,
}
# The script's own `supervisor.worker`: it and the adapters share one page.
_SCRIPTS_WORKER = "supervisor.worker.rank"
_MOST_REMARKS = 20

_remarks: "list[str]" = []
_listeners: "list[Callable[[str], None]]" = []


def tell(sentence: str) -> None:
    """Keep a remark for the user until a training is attached, which passes it on."""
    if sentence not in _remarks and len(_remarks) < _MOST_REMARKS:
        _remarks.append(sentence)
        try:
            for listener in _listeners or [_tell_alone]:
                listener(sentence)
        except Exception as error:
            _remarks.append(f"{type(error).__name__}: {error}")  # no training may end by a remark


def _tell_alone(sentence: str) -> None:
    """Have it told although no training is attached, perhaps since the adapter is off."""
    telling = adapter("telling")
    if telling is not None:
        telling.tell_alone(sentence)


def listen(listener: "Callable[[str], None]") -> None:
    """Have all remarks passed on, those of before too."""
    _listeners[:] = [listener]
    for sentence in _remarks:
        listener(sentence)


def is_wanted(adapter: str) -> bool:
    """Whether the configuration wants this adapter (`integrate`)."""
    wanted = os.environ.get("SUPERVISOR_INTEGRATE", "auto")
    return wanted == "auto" or adapter in wanted.split(",")


def adapter(name: str) -> "ModuleType | None":
    """Return a module of this folder; None if it does not exist."""
    whole = f"{__package__}.{name}"
    try:
        __import__(whole)
    except ModuleNotFoundError as error:
        if error.name != whole:
            raise
        return None
    return sys.modules[whole]


def begin(package: "ModuleType") -> None:
    """Put the finder before all others, and patch what is imported already."""
    finder = LibraryFinder(list(package.__path__))
    package.__spec__ = finder.find_spec(_PACKAGE)
    sys.meta_path.insert(0, finder)
    for name in (*ADAPTED, _SCRIPTS_WORKER):
        module = sys.modules.get(name)
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            _patch(name, module)


def _patch(name: str, module: "ModuleType") -> None:
    """Do what is to be done once a module is imported. Never raises."""
    try:
        if name == _SCRIPTS_WORKER:
            _share_the_worker(module)
            return
        found = adapter(ADAPTED[name]) if is_wanted(ADAPTED[name]) else None
        if found is not None:
            found.patch(module)
    except Exception as error:
        what = ADAPTED.get(name, name)
        tell(f"the adapter for {what} is off: {type(error).__name__}: {error}")


def _share_the_worker(module: "ModuleType") -> None:
    """Give the script's `supervisor.worker` the worker of the adapters, if they have attached."""
    own = getattr(sys.modules.get(f"{_PACKAGE}.worker.rank"), "_worker", None)
    if own is not None and hasattr(module, "attach") and vars(module).get("_worker", own) is None:
        module._worker = own  # type: ignore[attr-defined]


class LibraryFinder:
    """A finder in `sys.meta_path` that leaves all modules but the private package to the others."""

    __slots__ = ("_path",)

    def __init__(self, path: "list[str]") -> None:
        """`path`: the `__path__` of the private package."""
        self._path = path

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "Any":
        """Return None, or what the finders after this one return for a library with an adapter."""
        if name not in _HEARD:
            return None
        if name == _PACKAGE:
            spec = type(sys.__spec__)(_PACKAGE, None, is_package=True)
            spec.submodule_search_locations = self._path
            return spec
        if not _is_import(sys._getframe(1)):
            return None  # the program only asks, by importlib.util.find_spec
        spec = self._found(name, path, target)
        try:
            _follow(spec, name)
        except Exception as error:
            tell(f"the import of {name} cannot be followed: {type(error).__name__}: {error}")
        return spec

    def _found(self, name: str, path: "Sequence[str] | None", target: "ModuleType | None") -> "Any":
        """Return what the finders after this one find. Their exceptions pass unchanged."""
        after = False
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None) if after else None
            if find is not None and (spec := find(name, path, target)) is not None:
                return spec
            after = after or finder is self
        return None

    def find_distributions(self, context: "Any" = None) -> "Iterator[Distribution]":
        """Offer the entry points to a search for entry points.

        In lists of installed packages, as experiment trackers write them, it does not appear: no
        index has it.
        """
        asked = vars(context) if context is not None else {}
        if asked.get("path") is not None or not _may_offer(asked.get("name")):
            return
        from importlib.metadata import PathDistribution
        from pathlib import Path

        startup = Path(self._path[0], "integrations", "startup")
        yield PathDistribution(startup / "train_supervisor_hook-1.dist-info")


_HEARD = frozenset((_PACKAGE, _SCRIPTS_WORKER, *ADAPTED))


def _may_offer(name: "str | None") -> bool:
    if name is not None:
        return str(name).replace("_", "-").lower() == _DISTRIBUTION
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "entry_points":
            return is_wanted(_LIGHTNING)
        frame = frame.f_back
    return False


def _is_import(frame: "FrameType | None") -> bool:
    """Whether a module is imported or reloaded now, and not only looked for."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "_find_spec" and code.co_filename.startswith("<frozen importlib"):
            above = frame.f_back
            return above is not None and above.f_code.co_name in (
                "_find_and_load_unlocked",
                "reload",
            )
        frame = frame.f_back
    return False


def _follow(spec: "Any", name: str) -> None:
    """Have `_patch` called when the loader has run the module. The loader stays the module's own.

    Its object gets an attribute until then: the loader's class, which other import hooks ask for,
    does not change.
    """
    loader = getattr(spec, "loader", None)
    if loader is None:
        return
    execute = loader.exec_module

    def exec_module(module: "ModuleType") -> None:
        if getattr(module, "__name__", None) != name:  # one loader may have many modules (zip)
            execute(module)
            return
        del loader.exec_module
        try:
            execute(module)
        except BaseException as error:
            if error.__traceback__ is not None:
                # No frame of this file in what the user reads.
                error.__traceback__ = error.__traceback__.tb_next
            raise
        _patch(name, sys.modules.get(name, module))

    loader.exec_module = exec_module
