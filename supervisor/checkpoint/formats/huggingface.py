"""HF's Trainer, and the libraries around it (TRL, PEFT, diffusers)."""

import re
from collections import Counter
from collections.abc import Set
from typing import Any

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ProgressFile, ToolFormat
from supervisor.checkpoint.layout import is_safe_name
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.bounded_json import parse
from supervisor.checkpoint.proofs.zip_archive import DamagedError
from supervisor.checkpoint.suffixes import INDEX_SUFFIX

_TRAINER_STATE = "trainer_state.json"
_MOST_INDEX_BYTES = 32 << 20
_SHARD = r"(.*)-(\d{5,6})-of-(\d{5,6})(\..*)"
# HF's libraries find the shards of these names by an index alone, written after them. Other tools
# count by the names.
_INDEXED = r"(?:.*/)?(?:model|pytorch_model|adapter_model|diffusion_pytorch_model)"
_INDEXED_TAILS = (".safetensors", ".bin")


def _check(stock: FileListing) -> None:
    """All shards and what is written last are there. Raises DamagedError with a sentence, OSError.

    Tools of others call their shards so, too.
    """
    names = stock.files.keys()
    for name in names:
        if name.endswith(INDEX_SUFFIX):
            _check_index(stock, name)
    _check_shards(names)
    if "training_args.bin" in names and _TRAINER_STATE not in names:
        raise DamagedError(f"{_TRAINER_STATE} is missing, which HF's Trainer writes last")


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
        index = f"{head}{tail}{INDEX_SUFFIX}"
        is_indexed = tail in _INDEXED_TAILS and re.fullmatch(_INDEXED, head) is not None
        if is_indexed and int(total) > 1 and index not in names:
            raise DamagedError(f"{index} is missing, which is written after the shards it names")


FORMAT = ToolFormat(
    # The resume guide's trainers and accelerate have the same.
    names=(NameRule("checkpoint-", r"checkpoint-(?P<step>\d+)", "periodic"),),
    incomplete_mark="checkpoint-is-incomplete.txt",
    progress=ProgressFile(_TRAINER_STATE, "global_step", "epoch", has_step_of_name=True),
    descriptions=r"training_args\.(?:bin|json)|.*\.index(?:\.\w+)?\.json|modules\.json|tokenizer.*"
    r"|special_tokens_map\.json|added_tokens\.json|vocab\..*|merges\.txt|tekken\.json"
    r"|(?:spiece|sentencepiece.*)\.model|chat_template.*",
    companions=r"(?:.*/)?(?:training_args\.bin|scheduler\.pt|scaler\.pt|rng_state.*\.pth)",
    per_rank=(r"(.*rng_state_)\d+(\.pth)", r"(.*)-\d{5,6}-of-\d{5,6}(\..*)"),
    check=_check,
)
