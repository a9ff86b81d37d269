"""What a program can change of its interpreter that an import may see, and what it has changed.

The observer runs it inside the trainer, before the program: it imports nothing that Python has not
loaded by then, and only looks. Comparing is by identity; values are read where they are cheap.
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
    """Lines of a file of /proc/self; nothing where it cannot be read."""
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
    """A module that is loaded whole, else None."""
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
    """What a function of a module says; None without it: a stub may stand for the module."""
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

# What an import does not read, but may change: it matters where both do, program and import.
BESIDES: "dict[str, Callable[[], object]]" = {
    "logging": _logging,
    "signal handlers": _signal_handlers,
    "the garbage collector": lambda: (_GC.isenabled(), _GC.get_threshold(), _GC.get_freeze_count()),
}


class Interpreter:
    """The interpreter as it was at some moment, to be compared with what has become of it.

    `is_compared` says by name and module whose attributes are: all of a large program's would
    take long.
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
        """Take what is now for what is known."""
        self._note_rest()
        self._is_whole = True
        self._modules: dict[str, Any] = {}
        self._attributes.forget()
        self.note_new()

    def note_late(self) -> None:
        """The same after a late import, of which there may be many: attributes are left out."""
        self._note_rest()
        self._is_whole = False
        self._modules = dict(sys.modules)

    def _note_rest(self) -> None:
        self._facts = {what: read() for what, read in FACTS.items()}
        self._finders = self._found_by()

    def note_new(self) -> None:
        """Take modules that are known under no name yet as they are now."""
        for name, module in list(sys.modules.items()):
            if name not in self._modules:
                self._modules[name] = module
                if isinstance(module, type(sys)) and self._is_compared(name, module):
                    self._attributes.add(name, module)

    def _found_by(self) -> "list[object]":
        finders = [finder for finder in sys.meta_path if finder is not self._own_finder]
        return [*finders, None, *sys.path_hooks]

    def changes(self, *, weak: bool) -> "Iterator[str]":
        """What is otherwise now, as phrases; `weak`: only how modules are found, and which are."""
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
                continue  # what torch.compile makes, torch itself puts there
            if before is not then:
                yield f"replaces {name} in sys.modules"
            elif not _is_imported(name, module):
                yield f"puts {name} into sys.modules"
        for name in then.keys() - now.keys():
            if weak and _is_inside_another(name):
                continue
            yield f"removes {name} from sys.modules"


def _is_inside_another(name: str) -> bool:
    """Whether a name is one inside a package that is loaded."""
    package, dot, _ = name.partition(".")
    return bool(dot) and _is_imported(package, sys.modules.get(package))


def _is_imported(name: str, module: object) -> bool:
    """Whether an entry of sys.modules is the work of an import."""
    try:
        spec = dict_of(module).get("__spec__")
    except AttributeError:
        return False
    return name == "__main__" or spec is not None
