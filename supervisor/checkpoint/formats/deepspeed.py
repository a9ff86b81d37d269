"""DeepSpeed's checkpoints, with a check that every rank that saved one has its file.

The number of ranks is in a pickle of the checkpoint, which must not be unpickled. From ZeRO's first
stage on, each data-parallel rank writes a file of the optimizer. Source: deepspeed 0.19,
runtime/engine.py, `_save_checkpoint` and `_get_zero_ckpt_name`.
"""

import re
from collections.abc import Callable, Set
from typing import NamedTuple

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.archived_pickle import read_archived_pickle
from supervisor.checkpoint.proofs.pickle_values import Entries, UnknownPickleError, read_pickle
from supervisor.checkpoint.proofs.zip_archive import DamagedError

_RANKS_SUFFIX = "_states.pt"
_MODEL = re.compile(r"((?:.*/)?)mp_rank_(\d{2,6})_model_states\.pt")
# In ZeRO's third stage each rank writes a file of weights too.
_ZERO = re.compile(
    r"((?:.*/)?)((?:[a-z0-9]+_)?zero_pp_rank_)(\d{1,9})_mp_rank_(\d{2,6})_(optim|model)_states\.pt"
)
_MOST_RANKS = 1_000_000
# HF and Lightning write one folder of such files into a checkpoint.
_MOST_FOLDERS = 4


class _Folder:
    """The ranks that have a file in one folder.

    `optimizer`: data-parallel ranks, by model-parallel rank. `weights`: model-parallel ranks.
    `prefix`: what the names of the optimizer's files begin with.
    """

    def __init__(self) -> None:
        self.optimizer: dict[str, set[int]] = {}
        self.weights: set[str] = set()
        self.prefix = ""


class _World(NamedTuple):
    """How many ranks saved a checkpoint, as it says itself. `is_sharded`: each rank wrote weights.

    With sharded weights the ranks of one group alone may save (MiCS), so fewer files are no gap.
    """

    data_parallel: int
    model_parallel: int | None
    is_sharded: bool


def _check_ranks(stock: FileListing) -> None:
    """Check that each rank that took part has its optimizer file.

    Raises DamagedError with a sentence, OSError.
    """
    for number, (path, folder) in enumerate(sorted(_folders(stock.files.keys()).items())):
        world = _read_world(stock, path) if folder.optimizer and number < _MOST_FOLDERS else None
        is_told = world is not None and not world.is_sharded
        parts = folder.optimizer.keys() | (folder.weights if is_told and folder.optimizer else ())
        for part in sorted(parts):
            found = folder.optimizer.get(part, set())
            # Any program may write such names: a rank 999999999 must cost nothing.
            if world is not None and is_told:
                ranks = world.data_parallel
                gap = next((rank for rank in range(ranks) if rank not in found), None)
                why = f"{ranks} data-parallel ranks saved their states"
            else:
                gap = next((n for n, rank in enumerate(sorted(found)) if n != rank), None)
                why = "files of later ranks exist"
            if gap is not None:
                name = f"{path}{folder.prefix}{gap}_mp_rank_{part}_optim_states.pt"
                raise DamagedError(f"{name} is missing: {why}")


def _told_files(stock: FileListing, missing: str) -> Callable[[str], bool] | None:
    """A test for the files of ranks that a checkpoint may lack though the one before has them.

    The number of ranks may change at a restart, so the files of ranks beyond the checkpoint's own
    number may be missing. None if `missing` is no such file, or if the number is not known. Raises
    OSError.
    """
    if not missing.endswith(_RANKS_SUFFIX):
        return None
    folders = {path: one for path, one in _folders(stock.files.keys()).items() if one.optimizer}
    worlds = [_read_world(stock, path) for path in sorted(folders)[:_MOST_FOLDERS]]
    known = [world for world in worlds if world is not None]
    if len(known) < len(folders) or not known:
        return None
    ranks = max(world.data_parallel for world in known)
    parts = {int(part) for one in folders.values() for part in one.optimizer}
    is_every_part = parts == set(range(len(parts))) and all(
        world.model_parallel == len(parts) for world in known
    )

    def is_told(name: str) -> bool:
        rank, weights = _ZERO.fullmatch(name), _MODEL.fullmatch(name)
        if rank is not None and int(rank[3]) >= ranks:
            return True
        part = rank[4] if rank is not None else weights[2] if weights is not None else None
        return part is not None and is_every_part and int(part) not in parts

    return is_told


def _folders(names: Set[str]) -> dict[str, _Folder]:
    found: dict[str, _Folder] = {}
    for name in names:
        if not name.endswith(_RANKS_SUFFIX):
            continue
        rank, weights = _ZERO.fullmatch(name), _MODEL.fullmatch(name)
        if rank is not None and rank[5] == "optim":
            folder = found.setdefault(rank[1], _Folder())
            folder.prefix = rank[2]
            folder.optimizer.setdefault(rank[4], set()).add(int(rank[3]))
        elif weights is not None:
            found.setdefault(weights[1], _Folder()).weights.add(weights[2])
    return found


def _read_world(stock: FileListing, folder: str) -> _World | None:
    for leaf in ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_model_states.pt"):
        data = read_archived_pickle(stock, folder + leaf)
        if not data:
            continue
        try:
            root = read_pickle(data)
        except UnknownPickleError:
            return None
        pairs = root.pairs if isinstance(root, Entries) else []
        values = {key: value for key, value in pairs if type(key) is str}
        ranks = _count(values.get("dp_world_size"))
        if ranks is None:
            return None
        return _World(ranks, _count(values.get("mp_world_size")), leaf.startswith("zero"))
    return None


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 < value <= _MOST_RANKS else None


FORMAT = ToolFormat(
    names=(NameRule("global_step", r"global_step(?P<step>\d+)", "periodic"),),
    descriptions="latest",
    number_pointer="latest",
    check=_check_ranks,
    told_files=_told_files,
    resume="DeepSpeed: `load_checkpoint(DIR)` finds the newest by the file `latest`, which is kept"
    " right: `resume: {by: trainer}`",
)
