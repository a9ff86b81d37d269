"""Which parts of its interpreter a program has changed, of those that an import may read.

The observer uses it inside the trainer. It only looks, and imports nothing that Python has not
loaded before the program. Objects are compared by identity; values are read where that is cheap.
"""

import posix  # not what the program may have put into `os`
import sys

from supervisor.standby.attributes import Attributes, dict_of, quietly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

_LOCALE, _GC, _SIGNAL = quietly("_locale"), quietly("gc"), quietly("_signal")


def _of_proc(name: str, *fields: bytes) -> bytes:
    """Lines of a file of /proc/self, those of `fields` if given; nothing if it cannot be read."""
    try:
        fd = posix.open(f"/proc/self/{name}", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return b""
    try:
        data = posix.read(fd, 1 << 14)
    finally:
        posix.close(fd)
    return b"".join(line for line in data.splitlines() if not fields or line.startswith(fields))


def _loaded(name: str) -> "Any":
    """A module whose import has ended, else None."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return None if getattr(spec, "_initializing", False) else module


def _directory() -> "str | None":
    try:
        return posix.getcwd()
    except OSError:
        return None


def _locale() -> "object":
    return None if _LOCALE is None else _LOCALE.setlocale(_LOCALE.LC_ALL, None)


def _start_method() -> "object":
    context = getattr(_loaded("multiprocessing.context"), "_default_context", None)
    return getattr(getattr(context, "_actual_context", None), "_name", None)


def _error_filters() -> "object":
    """Warnings that are errors: an import that warns fails under them."""
    filters = getattr(sys.modules.get("warnings"), "filters", ())
    return [str(entry) for entry in filters if entry[0] == "error"]


def _asked(name: str, question: str) -> "object":
    """What a module's function returns; None without one: the module may be a stub."""
    function = getattr(_loaded(name), question, None)
    return function() if callable(function) else None


def _logging() -> "object":
    root = getattr(_loaded("logging"), "root", None)
    if root is None:
        return ([], 30, 0)
    return (list(root.handlers), root.level, root.manager.disable)


def _signal_handlers() -> "object":
    return [_SIGNAL.getsignal(number) for number in range(1, _SIGNAL.NSIG)]


FACTS: "dict[str, Callable[[], object]]" = {
    "its working directory": _directory,
    "its user or group": lambda: (posix.getresuid(), posix.getresgid(), posix.getgroups()),
    "its CPU affinity": lambda: posix.sched_getaffinity(0),
    "its umask": lambda: _of_proc("status", b"Umask:"),
    "its resource limits": lambda: _of_proc("limits"),
    "its recursion limit": sys.getrecursionlimit,
    "who traces or profiles it": lambda: (sys.gettrace(), sys.getprofile()),
    "its locale": _locale,
    "which warnings are errors": _error_filters,
    "the start method of multiprocessing": _start_method,
    "the default timeout of sockets": lambda: _asked("_socket", "getdefaulttimeout"),
    "what numpy does about floating-point errors": lambda: _asked("numpy", "geterr"),
    "torch's default dtype": lambda: _asked("torch", "get_default_dtype"),
    "torch's default device": lambda: getattr(
        _loaded("torch.utils._device"), "CURRENT_DEVICE", None
    ),
}

# State that imports do not read, but may change. It matters if program and imports both change it.
BESIDES: "dict[str, Callable[[], object]]" = {
    "logging": _logging,
    "signal handlers": _signal_handlers,
    "the garbage collector": lambda: (_GC.isenabled(), _GC.get_threshold(), _GC.get_freeze_count()),
}


class Interpreter:
    """The interpreter's state at one moment, to be compared with its present state.

    `is_compared` tells by name and module whether the attributes are compared: to compare those of
    all modules of a large program would take long.
    """

    def __init__(
        self, own_finder: object, is_compared: "Callable[[str, ModuleType], bool]"
    ) -> None:
        self._own_finder = own_finder
        self._is_compared = is_compared
        self._attributes = Attributes()
        self._is_whole = True
        self.note()

    def note(self) -> None:
        """Take the present state as the known one."""
        self._note_rest()
        self._is_whole = True
        self._modules: dict[str, Any] = {}
        self._attributes.forget()
        self.note_new()

    def note_late(self) -> None:
        """Do the same after a late import, without attributes: there may be many late imports."""
        self._note_rest()
        self._is_whole = False
        self._modules = dict(sys.modules)

    def _note_rest(self) -> None:
        self._facts = {what: read() for what, read in FACTS.items()}
        self._finders = self._found_by()

    def note_new(self) -> None:
        """Add the modules under new names as they are now."""
        for name, module in list(sys.modules.items()):
            if name not in self._modules:
                self._modules[name] = module
                if isinstance(module, type(sys)) and self._is_compared(name, module):
                    self._attributes.add(name, module)

    def _found_by(self) -> "list[object]":
        finders = [finder for finder in sys.meta_path if finder is not self._own_finder]
        return [*finders, None, *sys.path_hooks]

    def changes(self, *, weak: bool) -> "Iterator[str]":
        """Yield what has changed, as phrases; `weak`: only the modules and how they are found."""
        yield from self._of_modules(weak=weak)
        if list(map(id, self._found_by())) != list(map(id, self._finders)):
            yield "changes how modules are found"
        if weak:
            return
        for what, read in FACTS.items():
            if read() != self._facts[what]:
                yield f"changes {what}"
        if self._is_whole:
            for name in self._attributes.changed():
                yield f"changes {name}"

    def _of_modules(self, *, weak: bool) -> "Iterator[str]":
        now, then = dict(sys.modules), self._modules
        for name, module in now.items():
            before = then.get(name, then)
            if before is module:
                continue
            if weak and module is not None and _is_inside_another(name):
                continue  # torch itself puts there what torch.compile makes
            if before is not then:
                yield f"replaces {name} in sys.modules"
            elif not _is_imported(name, module):
                yield f"puts {name} into sys.modules"
        for name in then.keys() - now.keys():
            if weak and _is_inside_another(name):
                continue
            yield f"removes {name} from sys.modules"


def _is_inside_another(name: str) -> bool:
    """Whether a name is inside a package that is loaded."""
    package, dot, _ = name.partition(".")
    return bool(dot) and _is_imported(package, sys.modules.get(package))


def _is_imported(name: str, module: object) -> bool:
    """Whether an import made this entry of sys.modules."""
    try:
        spec = dict_of(module).get("__spec__")
    except AttributeError:
        return False
    return name == "__main__" or spec is not None
