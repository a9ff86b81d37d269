"""Whether a program may go on in an interpreter that imported before it: what was seen of it says.

The trainer's side is `observer.py`; this is the parked one's, before and after its imports.
"""

from __future__ import annotations

import os
import sys

from supervisor.standby.digests import digest
from supervisor.standby.interpreter import BESIDES
from supervisor.standby.random_numbers import RandomNumbers
from supervisor.standby.refusal import Refused
from supervisor.worker.imports import observations
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
# Set by libraries in their own process while they run: between two of their late imports these say
# nothing of the program. What the program sets before it imports a package counts all the same.
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
    """What is known of the program's imports; all methods raise Refused where they must be cold."""

    def __init__(self, record: str) -> None:
        """`record` is the file of the imports; what the observer saw lies beside it."""
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
        """Look at what can be looked at only while others are imported."""
        self._numbers.look()

    def check(self) -> None:
        """Look whether the imports did what has to come after what the program does before them."""
        for name, value in sorted(self._environment.items()):
            # What its imports themselves set is set by now.
            now = os.environ.get(name)
            if (digest(now) if now is not None else None) != value:
                raise Refused(f"the program sets {name} itself before its imports")
        for what, before in self._besides.items():
            if BESIDES[what]() != before:
                raise Refused(f"both the program, before its imports, and they change {what}")
        if (source := self._numbers.drawn()) is not None:
            raise Refused(f"its imports draw or seed random numbers of {source}")

    def check_modules(self, recorded: dict[str, str], loaded: dict[str, str]) -> None:
        """Look whether what was imported is what the program had imported, name by name.

        `loaded` are the modules of packages that were not there before; values are files.
        """
        for name, origin in loaded.items():
            if name not in recorded:
                raise Refused(f"its imports load {name}, which the program's did not")
            if os.path.realpath(recorded[name]) != os.path.realpath(origin):
                raise Refused(f"the program has {name} from {recorded[name]}")
        # Of ours nothing is followed: it changes nothing.
        if not self.packages and any(name.partition(".")[0] != "supervisor" for name in loaded):
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
        # What begins so is a library's own, as _TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR.
        if name not in _SET_AT_RUN_TIME and not name.startswith("_")
    }


def modules_of_packages() -> dict[str, str]:
    """Return what is loaded of installed packages under its own name, and its files."""
    found = {}
    for name, module in list(sys.modules.items()):
        source = module_source(module)
        if source is not None and source[0] == name and "-packages/" in source[1]:
            found[name] = source[1]
    return found
