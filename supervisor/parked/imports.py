"""What a training process has imported by its first step, for the next one to be preloaded with."""

from __future__ import annotations

import json
import os
import sys

from supervisor.parked.sources import module_source
from supervisor.parked.start import OWN_PREFIX, digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT = 1
_MOST_BYTES = 4 << 20
# Set by Python, libraries or launch code, whatever the program does; no import depends on them.
_SET_AT_RUN_TIME = frozenset(
    {
        "LC_CTYPE",  # Python, when it starts in the C locale (PEP 538)
        "CUDA_MODULE_LOADING",  # torch.cuda, when it makes its context
        "CUBLAS_WORKSPACE_CONFIG",  # read by cuBLAS when it makes a handle, by torch at each check
        "TORCHINDUCTOR_CACHE_DIR",
        "TRITON_CACHE_DIR",
        "PL_GLOBAL_SEED",
        "PL_SEED_WORKERS",
        "MASTER_ADDR",
        "MASTER_PORT",
        "RANK",
        "LOCAL_RANK",
        "WORLD_SIZE",
    }
)


def _environ_at_exec() -> dict[str, str]:
    with open("/proc/self/environ", "rb") as file:
        pairs = [entry.partition(b"=") for entry in file.read().split(b"\0") if b"=" in entry]
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def changed_environment() -> dict[str, str | None]:
    """Return the digest of each variable that the program has set or changed, None if deleted."""
    first, now = _environ_at_exec(), dict(os.environ)
    changed: dict[str, str | None] = {}
    for name in first.keys() | now.keys():
        if name in _SET_AT_RUN_TIME or name.startswith(OWN_PREFIX):
            continue
        if first.get(name) != now.get(name):
            changed[name] = digest(now[name]) if name in now else None
    return changed


def observed() -> dict[str, Any]:
    """Return the record of this process: modules with their files in the order of import."""
    lines = []
    for name, module in list(sys.modules.items()):
        source = module_source(module)
        # Under another name than its own, a module cannot be imported again.
        if source is not None and source[0] == name and "\n" not in source[1]:
            lines.append(f"{name}\t{source[1]}")
    return {
        "format": FORMAT,
        "python": sys.version,
        "prefix": sys.prefix,
        "modules": "\n".join(lines),
        "environment": changed_environment(),
    }


def record(path: str) -> None:
    """Write the record for the next interpreter, replacing the file; 0600. Raises OSError."""
    data = json.dumps(observed()).encode("ascii")
    staged = f"{path}.{os.getpid()}"
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(data)
        os.replace(staged, path)
    except OSError:
        os.unlink(staged)
        raise


def read(path: str) -> dict[str, Any] | str:
    """Return a record that fits this interpreter, or why there is none, as a phrase."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
        if found["format"] != FORMAT:
            return "the record of imports is in another format"
        if (found["python"], found["prefix"]) != (sys.version, sys.prefix):
            return "the record of imports is of another Python"
        modules = [tuple(line.split("\t", 1)) for line in found["modules"].splitlines()]
        environment = dict(found["environment"])
    except FileNotFoundError:
        return "no record of imports yet"
    except (OSError, ValueError, TypeError, KeyError) as error:
        return f"the record of imports cannot be read: {error}"
    return {"modules": modules, "environment": environment}
