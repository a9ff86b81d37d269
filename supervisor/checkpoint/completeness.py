"""What a checkpoint of another trainer says by itself of files that it lacks; few are opened."""

import re
from collections import Counter
from collections.abc import Set
from typing import Any

from supervisor.checkpoint.contents import state_files
from supervisor.checkpoint.formats import dcp_shards, deepspeed
from supervisor.checkpoint.layout import is_safe_name
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.bounded_json import parse
from supervisor.checkpoint.proofs.zip_archive import DamagedError
from supervisor.checkpoint.suffixes import METADATA, SHARD_SUFFIX

INCOMPLETE_MARK = "checkpoint-is-incomplete.txt"
_MOST_INDEX_BYTES = 32 << 20
_INDEX_SUFFIX = ".index.json"
_SHARD = r"(.*)-(\d{5,6})-of-(\d{5,6})(\..*)"
# HF's libraries find the shards of these names by an index alone, written after them. Other tools
# count by the names.
_INDEXED = r"(?:.*/)?(?:model|pytorch_model|adapter_model|diffusion_pytorch_model)"
_INDEXED_TAILS = (".safetensors", ".bin")
_TRAINER_STATE = "trainer_state.json"
# What it writes before its random states; `model.bin` beside an `optimizer.bin` is somebody's own.
_ACCELERATES = (
    r"(?:model(?:_\d+)?|pytorch_lora_weights|adapter_model.*|.*/.+)\.safetensors"
    r"|(?:.*/)?(?:diffusion_)?pytorch_model.*|sampler.*\.bin|custom_checkpoint_\d+\.pkl"
)
_RANDOM_STATE = r"random_states_\d+\.pkl"


def check_completeness(stock: FileListing) -> frozenset[str]:
    """The names of its files of state, all there as far as it says itself.

    Raises DamagedError with a whole sentence, OSError.
    """
    names = stock.files.keys()
    if INCOMPLETE_MARK in names:
        raise DamagedError(f"{INCOMPLETE_MARK} stands in it: its save was never finished")
    # The name of a single file is all that makes it a checkpoint.
    state = state_files(names) if stock.is_directory else frozenset(names)
    _check_substance(stock, state)
    for name in names:
        if name.endswith(_INDEX_SUFFIX):
            _check_index(stock, name)
    _check_shards(names)
    _check_last_written(names)
    deepspeed.check_ranks(stock)
    return state


def _check_substance(stock: FileListing, state: frozenset[str]) -> None:
    """Something must be there that can be state: a file with content."""
    if not state:
        beside = f", only what describes it ({min(stock.files)})" if stock.files else ""
        raise DamagedError(f"it holds no file of weights or state{beside}")
    links = sorted(name for name in state if not stock.files[name].is_regular)
    if len(links) == len(state):
        raise DamagedError(f"{links[0]} is a link or no file, which is not followed")
    if not any(stock.files[name].size for name in state if stock.files[name].is_regular):
        raise DamagedError(
            "all of its files are empty" if stock.is_directory else f"{min(state)} is empty"
        )


def _check_index(stock: FileListing, name: str) -> None:
    """All shards that `model.safetensors.index.json` promises must be there."""
    try:
        index: Any = parse(stock.read(name, _MOST_INDEX_BYTES) or b"")
        shards = set(index.get("weight_map", {}).values())
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedError(f"{name} is no index of shards") from error
    folder = name.rpartition("/")[0]
    for shard in sorted(map(str, shards)):
        if not is_safe_name(shard):
            raise DamagedError(f"{name} names {shard!r}, outside of the checkpoint")
        if (f"{folder}/{shard}" if folder else shard) not in stock.files:
            raise DamagedError(f"{shard} is missing, which {name} names")


def _check_shards(names: Set[str]) -> None:
    """`model-00002-of-00003.safetensors` says how many there must be."""
    shards = [match.groups() for match in (re.fullmatch(_SHARD, name) for name in names) if match]
    counts = Counter((head, total, tail) for head, _, total, tail in shards)
    for (head, total, tail), count in counts.items():
        if count != int(total):
            raise DamagedError(f"{count} of {int(total)} files {head}-…{tail} are there")
        index = f"{head}{tail}{_INDEX_SUFFIX}"
        is_indexed = tail in _INDEXED_TAILS and re.fullmatch(_INDEXED, head) is not None
        if is_indexed and int(total) > 1 and index not in names:
            raise DamagedError(f"{index} is missing, which is written after the shards it names")


def _check_last_written(names: Set[str]) -> None:
    """Each tool's first files must be followed by what it writes last."""
    if "training_args.bin" in names and _TRAINER_STATE not in names:
        raise DamagedError(f"{_TRAINER_STATE} is missing, which HF's Trainer writes last")
    is_accelerates = any(re.fullmatch(_ACCELERATES, name) for name in names)
    if (
        names & {"optimizer.bin", "scheduler.bin"}
        and is_accelerates
        and not any(re.fullmatch(_RANDOM_STATE, name) for name in names)
    ):
        raise DamagedError("random_states_0.pkl is missing, which accelerate writes last")
    for name in names:
        if name.endswith(SHARD_SUFFIX) and dcp_shards.lacks_metadata(name, names):
            folder, slash, _ = name.rpartition("/")
            raise DamagedError(f"{folder}{slash}{METADATA} is missing, which DCP writes last")
