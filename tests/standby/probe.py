"""Everything that a program can see of how it was started, as JSON in $SUPERVISOR_PROBE_OUT."""

import os
import sys

at_first = {"modules": list(sys.modules), "frame": sys._getframe().f_back is None}

import atexit  # noqa: E402
import builtins  # noqa: E402
import copyreg  # noqa: E402
import ctypes  # noqa: E402
import faulthandler  # noqa: E402
import fcntl  # noqa: E402
import gc  # noqa: E402
import inspect  # noqa: E402
import json  # noqa: E402
import linecache  # noqa: E402
import locale  # noqa: E402
import logging  # noqa: E402
import pickle  # noqa: E402
import resource  # noqa: E402
import signal  # noqa: E402
import site  # noqa: E402
import subprocess  # noqa: E402
import threading  # noqa: E402
import traceback  # noqa: E402
import tracemalloc  # noqa: E402
import warnings  # noqa: E402


class Point:
    """An object of __main__ that is pickled."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point)

    __hash__ = None


def square(number: int) -> tuple:
    """A pool worker's task, which returns what the worker sees."""
    mark = os.environ.get("SUPERVISOR_ATTEMPT")
    with open("/proc/self/environ", "rb") as file:
        shown = sorted(v.decode() for v in file.read().split(b"\0") if b"SUPERVISOR" in v)
    return number * number, mark, shown, sys.argv, __name__, sys.path[:2]


def stream(file):
    found = os.fstat(file.fileno())
    return {
        "type": type(file).__name__,
        "name": file.name,
        "mode": file.mode,
        "encoding": [file.encoding, file.errors, file.newlines],
        "buffering": [file.line_buffering, getattr(file, "write_through", None)],
        "buffer": [type(file.buffer).__name__, getattr(file.buffer, "mode", None)],
        "tty": file.isatty(),
        "place": [found.st_dev, found.st_mode]
        if file is sys.stdin
        else os.readlink(f"/proc/self/fd/{file.fileno()}")
        .replace("warm", "X")
        .replace("cold", "X"),
        "flags": fcntl.fcntl(file.fileno(), fcntl.F_GETFL),
        "seekable": file.seekable(),
        "same": file is getattr(sys, f"__{file.name.strip('<>')}__"),
    }


def proc(name):
    with open(f"/proc/self/{name}", "rb") as file:
        return file.read().decode("utf-8", "backslashreplace")


def status():
    kept = ("Name", "Umask", "Uid", "Gid", "Groups", "Sig", "Shd", "Cap", "NoNew", "Seccomp", "Thr")
    lines = [line.split(":\t") for line in proc("status").splitlines() if line.startswith(kept)]
    return {line[0]: line[-1] for line in lines if line[0] != "SigQ"}


def of_main():
    main = sys.modules["__main__"]
    values = main.__dict__
    spec = values["__spec__"]
    return {
        "names": [n for n in values if n.startswith("__")],
        "is_globals": values is globals(),
        "name": main.__name__,
        "file": values.get("__file__"),
        "cached": values.get("__cached__"),
        "package": values["__package__"],
        "doc": values["__doc__"],
        "loader": [
            type(values["__loader__"]).__name__,
            str(values["__loader__"])[:25],
            getattr(values["__loader__"], "path", None),
        ],
        "spec": spec and [spec.name, spec.origin, spec.parent, spec.cached, spec.has_location],
        "builtins": type(values["__builtins__"]).__name__,
        "annotations": repr(values.get("__annotations__")),
    }


def of_python():
    return {
        "argv": sys.argv,
        "orig_argv": sys.orig_argv,
        "path": sys.path,
        "flags": str(sys.flags),
        "options": [sys.warnoptions, sys._xoptions],
        "executable": [sys.executable, sys.prefix, sys.base_prefix, sys._base_executable],
        "meta_path": [str(getattr(finder, "__name__", type(finder))) for finder in sys.meta_path],
        "path_hooks": [hook.__name__ for hook in sys.path_hooks],
        "dir": [n for n in dir(sys) if n != "_git"],
        "hooks": [
            sys.excepthook is sys.__excepthook__,
            sys.displayhook is sys.__displayhook__,
            sys.gettrace(),
            sys.getprofile(),
            sys.unraisablehook is sys.__unraisablehook__,
        ],
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval(), sys.get_int_max_str_digits()],
        "bytecode": [sys.dont_write_bytecode, sys.pycache_prefix],
        "encodings": [
            sys.getfilesystemencoding(),
            sys.getdefaultencoding(),
            locale.getpreferredencoding(),
            locale.setlocale(locale.LC_ALL, None),
        ],
        "hash": hash("a text"),
        "stack": [(f.filename, f.function) for f in inspect.stack()],
        "print_stack": traceback.format_stack(),
        "builtins": sorted(dir(builtins)),
        "site": [site.ENABLE_USER_SITE, site.PREFIXES],
        "warnings": [
            (f[0], f[1] and f[1].pattern, f[2].__name__, f[3] and str(f[3]), f[4])
            for f in warnings.filters
        ],
        "gc": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), gc.get_debug()],
        "gc_lists": [len(gc.callbacks), len(gc.garbage)],
        "pickled_by": sorted(kind.__name__ for kind in copyreg.dispatch_table),
        "async_hooks": list(sys.get_asyncgen_hooks()),
        "dlopen_flags": sys.getdlopenflags(),
        "stack_bytes_of_threads": threading.stack_size(),
        "faulthandler": faulthandler.is_enabled(),
        "tracemalloc": tracemalloc.is_tracing(),
        "threads": [[t.name, t.daemon] for t in threading.enumerate()],
        "is_main_thread": threading.current_thread() is threading.main_thread(),
        "atexit": atexit._ncallbacks(),
        "ours_in_modules": [n for n in at_first["modules"] if n.startswith(("supervisor", "site"))],
        "ours_in_importers": [n for n in sys.path_importer_cache if "parked/startup" in n],
        "no_frame_beneath": at_first["frame"],
    }


def of_process():
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_char_p
    death_signal = ctypes.c_int()
    libc.prctl(2, ctypes.byref(death_signal), 0, 0, 0)
    fds = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            fds[fd] = os.readlink(f"/proc/self/fd/{fd}").replace("warm", "X").replace("cold", "X")
        except OSError:
            continue
    threads = os.listdir("/proc/self/task")
    child = "import os, json; print(json.dumps(dict(os.environ)))"
    return {
        "cwd": os.getcwd(),
        "environ": sorted(os.environ.items()),
        "environ_names_in_order": [n for n in os.environ if not n.startswith("SUPERVISOR")],
        "getenv": {n: str(libc.getenv(os.fsencode(n))) for n in sorted(os.environ)},
        "no_traces_in_c": [libc.getenv(b"SUPERVISOR_PARKED"), libc.getenv(b"PYTHONPATH") is None],
        "proc_environ": sorted(proc("environ").split("\0")),
        "cmdline": proc("cmdline"),
        "comm": proc("comm"),
        "exe": os.readlink("/proc/self/exe"),
        "autogroup": proc("autogroup").split(" ")[-1],
        "oom_score_adj": proc("oom_score_adj"),
        "status": status(),
        "fds": fds,
        "umask": os.umask(0o022),
        "signals": {s.name: str(signal.getsignal(s)).partition(" at ")[0] for s in signal.Signals},
        "mask": [int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "timers": [signal.getitimer(n) for n in (0, 1, 2)],
        "wakeup_fd": signal.set_wakeup_fd(-1),
        "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "death_signal": death_signal.value,
        "scheduling": sorted(
            {
                (
                    os.sched_getscheduler(int(t)),
                    os.getpriority(0, int(t)),
                    len(os.sched_getaffinity(int(t))),
                )
                for t in threads
            }
        ),
        "limits": {
            n: resource.getrlimit(getattr(resource, n))
            for n in dir(resource)
            if n.startswith("RLIMIT_")
        },
        "stdin": stream(sys.stdin),
        "stdout": stream(sys.stdout),
        "stderr": stream(sys.stderr),
        "child": json.loads(subprocess.check_output([sys.executable, "-c", child])),
    }


def of_libraries():
    try:
        source = inspect.getsource(square)
    except OSError as error:
        source = str(error)
    return {
        "pickled": pickle.dumps(Point()).hex(),
        "unpickled": pickle.loads(pickle.dumps(Point())) == Point(),
        "source": source,
        "line": linecache.getline(sys.argv[0], 1),
        "logging_began_now": logging.makeLogRecord({}).relativeCreated < 5000
        and logging.LogRecord("", 0, "", 0, "", (), None).relativeCreated < 5000,
    }


def of_multiprocessing():
    import multiprocessing

    found = {"start_method": multiprocessing.get_start_method()}
    if "__file__" not in globals():
        return found
    # multiprocessing does not import a package's __main__ again, so a worker finds nothing of it.
    spec = sys.modules["__main__"].__spec__
    is_package = spec is not None and spec.name.endswith(".__main__")
    for method in ("fork",) if is_package else ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            found[method] = pool.map(square, [7])
            pool.close()
            pool.join()
    return found


def everything():
    return {
        "python": of_python(),
        "process": of_process(),
        "main": of_main(),
        "libraries": of_libraries(),
        "multiprocessing": of_multiprocessing(),
        "modules": at_first["modules"],
    }


def tell():
    with open(os.environ["SUPERVISOR_PROBE_OUT"], "w") as file:
        json.dump(everything(), file)
    print("told", flush=True)


if __name__ == "__main__":
    tell()
