"""Whether a program would run the same in an interpreter that made the imports before it began.

`observer.py` has noted what the program did in a cold launch. This module judges by the notes, in
the parked interpreter, before and after its imports.
"""

from __future__ import annotations

import os
import sys

from supervisor.standby.digests import digest
from supervisor.standby.interpreter import BESIDES
from supervisor.standby.random_numbers import RandomNumbers
from supervisor.standby.refusal import Refused
from supervisor.worker.imports import observations
from supervisor.worker.imports.origins import is_ours
from supervisor.worker.imports.sources import module_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
# Libraries set these while they run. A change between two of their late imports says nothing of the
# program. What the program sets before it imports a package counts all the same.
_SET_BY_LIBRARIES = frozenset(
    {
        "CUDA_DEVICE_ORDER",
        "CUDA_PROFILE",
        "DISABLE_CUPTI_LAZY_REINIT",
        "KMP_DUPLICATE_LIB_OK",  # torch._inductor.cpp_builder
        "TEARDOWN_CUPTI",
        "TOKENIZERS_PARALLELISM",
        "TORCH_WARM_POOL",
        "TRITON_LIBDEVICE_PATH",
        "TRITON_PTXAS_PATH",
    }
)
_BY_LIBRARIES = ("ACCELERATE_", "KMP_", "NCCL_", "TORCHELASTIC_", "TORCH_NCCL_", "WANDB_")


class Likeness:
    """What was observed of the program's imports; raises Refused if the launch must be cold."""

    def __init__(self, record: str) -> None:
        """`record` is the file of the imports; the observer's notes lie beside it."""
        seen = observations.read(record)
        if isinstance(seen, str):
            raise Refused(seen)
        if seen.get("spoiled") is not None:
            raise Refused(f"its imports could not be followed: {seen['spoiled']}")
        if changes := seen["changes"]:
            what, name = changes[0]
            more = f", and {len(changes) - 1} more" if len(changes) > 1 else ""
            raise Refused(f"the program {what} before it imports {name}{more}")
        self.packages: list[str] = seen["packages"]
        self._besides = {what: BESIDES[what]() for what in seen["besides"] if what in BESIDES}
        self._environment = _environment(seen)
        self._numbers = RandomNumbers()

    def on_import(self) -> None:
        """Note the random generators of packages as they are imported."""
        self._numbers.look()

    def check(self) -> None:
        """Check that the imports ran as they do after the program's own first lines."""
        for name, value in sorted(self._environment.items()):
            # Variables that the imports themselves set are set by now.
            now = os.environ.get(name)
            if (digest(now) if now is not None else None) != value:
                raise Refused(f"the program sets {name} itself before its imports")
        for what, before in self._besides.items():
            if BESIDES[what]() != before:
                raise Refused(
                    f"the program changes {what} before its imports, and the imports change it too"
                )
        if (source := self._numbers.drawn()) is not None:
            raise Refused(f"its imports draw or seed random numbers of {source}")

    def check_modules(self, recorded: dict[str, str], loaded: dict[str, str]) -> None:
        """Check that each module was imported by the program, too, and from the same file.

        `loaded` are the modules of packages that were not there before; values are files.
        """
        theirs = {name: origin for name, origin in loaded.items() if not is_ours(name)}
        for name, origin in theirs.items():
            if name not in recorded:
                raise Refused(f"the parked imports load {name}, but the program's imports did not")
            if os.path.realpath(recorded[name]) != os.path.realpath(origin):
                raise Refused(f"the program imports {name} from another file: {recorded[name]}")
        # Modules of `supervisor` are not followed: they change nothing.
        if not self.packages and theirs:
            raise Refused("its imports could not be followed")


def _environment(seen: dict[str, Any]) -> dict[str, str | None]:
    late = {
        name: value
        for name, value in seen["late_environment"].items()
        if name not in _SET_BY_LIBRARIES and not name.startswith(_BY_LIBRARIES)
    }
    found = {**late, **seen["environment"]}
    return {
        name: value
        for name, value in found.items()
        # Such names are a library's own, as _TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR.
        if name not in _SET_AT_RUN_TIME and not name.startswith("_")
    }


def modules_of_packages() -> dict[str, str]:
    """Return the file of each module of installed packages that is loaded under its own name."""
    found = {}
    for name, module in list(sys.modules.items()):
        source = module_source(module)
        if source is not None and source[0] == name and "-packages/" in source[1]:
            found[name] = source[1]
    return found
