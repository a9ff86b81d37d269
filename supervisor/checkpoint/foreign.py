"""Checkpoints of other trainers: what their files must be like, each read once, none unpickled."""

import re
from collections import Counter
from collections.abc import Set
from typing import Any

from supervisor.checkpoint.bounded_json import parse
from supervisor.checkpoint.digest import digest, open_inside
from supervisor.checkpoint.format import is_safe_name
from supervisor.checkpoint.names import INCOMPLETE_MARK
from supervisor.checkpoint.records import Proof
from supervisor.checkpoint.stock import Stock, open_root
from supervisor.checkpoint.structure import DamagedError, inspect, is_payload

_MOST_INDEX_BYTES = 32 << 20
_INDEX_SUFFIX = ".index.json"
_SHARD = r"(.*)-(\d{5,6})-of-(\d{5,6})(\..*)"
_RANDOM_STATE = r"random_states_\d+\.pkl"
_ZERO_RANK = r"((?:.*/)?(?:bf16_)?zero_pp_rank_)(\d+)(_mp_rank_\d+_.*)"


def prove(stock: Stock) -> tuple[Proof, dict[str, str]]:
    """Check every file that holds state: how far that proves it, and the xxh3-128 of each.

    Raises DamagedError with a whole sentence about the checkpoint, OSError.
    """
    _check_completeness(stock)
    hashes: dict[str, str] = {}
    is_proof = True
    with open_root(stock) as root_fd:
        for name, facts in sorted(stock.files.items()):
            if not is_payload(name) and not name.endswith(".json"):
                continue
            if not facts.is_regular:
                raise DamagedError(f"{name} is a link or no file, which is not followed")
            with open(open_inside(root_fd, name), "rb", buffering=0) as file:
                try:
                    check = inspect(file.fileno(), name, facts.size)
                    _, hashes[name] = digest(file.fileno(), check.feed)
                    check.finish()
                except DamagedError as error:
                    raise DamagedError(f"{name} {error}") from error
            is_proof = is_proof and check.is_proof
    return ("structure" if is_proof else "files"), hashes


def _check_completeness(stock: Stock) -> None:
    """What a checkpoint alone says of files that it lacks. Raises DamagedError."""
    names = stock.files.keys()
    if INCOMPLETE_MARK in names:
        raise DamagedError(f"{INCOMPLETE_MARK} stands in it: its save was never finished")
    if not any(is_payload(name) for name in names):
        raise DamagedError("it holds no file of weights or state")
    for name in names:
        if name.endswith(_INDEX_SUFFIX):
            _check_index(stock, name)
    _check_shards(names)
    _check_last_written(names)
    _check_ranks(names)


def _check_index(stock: Stock, name: str) -> None:
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


def _check_ranks(names: Set[str]) -> None:
    """DeepSpeed's ranks count from 0; a gap is a shard that was never written."""
    ranks: dict[tuple[str, str], set[int]] = {}
    for match in (re.fullmatch(_ZERO_RANK, name) for name in names):
        if match:
            ranks.setdefault((match[1], match[3]), set()).add(int(match[2]))
    for (head, tail), found in ranks.items():
        # Names are anybody's: a rank 999999999 must cost nothing.
        first = next((n for n, rank in enumerate(sorted(found)) if n != rank), None)
        if first is not None:
            raise DamagedError(f"{head}{first}{tail} is missing, a rank before the last")


def _check_last_written(names: Set[str]) -> None:
    """Each tool's first files must be followed by what it writes last."""
    if "training_args.bin" in names and "trainer_state.json" not in names:
        raise DamagedError("trainer_state.json is missing, which HF's Trainer writes last")
    if names & {"optimizer.bin", "scheduler.bin"} and not any(
        re.fullmatch(_RANDOM_STATE, name) for name in names
    ):
        raise DamagedError("random_states_0.pkl is missing, which accelerate writes last")
    for name in names:
        folder, slash, leaf = name.rpartition("/")
        if leaf.endswith(".distcp") and f"{folder}{slash}.metadata" not in names:
            raise DamagedError(f"{folder}{slash}.metadata is missing, which DCP writes last")
