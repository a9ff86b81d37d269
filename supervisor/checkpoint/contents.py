"""Which files of a checkpoint hold state, told from their names alone."""

import re
from collections.abc import Collection

from supervisor.checkpoint.by_products import is_state_file
from supervisor.checkpoint.formats.table import PROGRESS_FILES, TOOLS
from supervisor.checkpoint.save_names import is_companion, speaks_for_itself
from supervisor.checkpoint.suffixes import (
    CERTAIN_ENDINGS,
    METADATA,
    POSSIBLE_ENDINGS,
    SHARDS,
    SINGLE_FILE_SUFFIXES,
)

# Stands in the name of a file or a tensor that holds an optimizer's state.
OPTIMIZER = "optim"
# What torch, DCP, numpy and safetensors write.
PICKLED = (".pt", ".pth", ".ckpt", ".pkl")
_DATA = (*SINGLE_FILE_SUFFIXES, *SHARDS, ".pkl", ".npz")
_WEIGHTS = (*CERTAIN_ENDINGS, *POSSIBLE_ENDINGS)
# Files of results and counters have these endings, too.
_ANYBODYS = (".bin", ".npz", ".pkl")
# Files that describe a model or a run: configurations and logs that tools write, texts for people,
# pictures, and the temporary files of a save that was cut off.
_DESCRIPTION = re.compile(
    r"(?:.*[-_.])?config(?:uration)?\.\w+|manifest\.json|args\.(?:json|ya?ml)"
    r"|(?:.*[-_])?results\.json|(?:model_|dataset_)?info\.json|log_history\.json"
    r"|requirements.*\.txt|events\.out\..*"
    r"|(?:.*[-_.])?(?:log|logs|loss|losses|metrics|stats|history)\.(?:txt|json)|.*\.jsonl"
    r"|(?:readme|license|licence|notice|use_policy|changelog).*"
    r"|.*\.(?:md|rst|html?|pdf|log|csv|tsv|py|ipynb|sh|ya?ml|toml|ini|cfg|jinja2?|lock|sha256|md5)"
    r"|.*\.(?:png|jpe?g|gif|webp|bmp|svg|mp4|webm|avi|wav|mp3|flac|ogg)"
    r"|.*\.(?:tmp|temp|part|partial|incomplete|swp|bak)|.*~|\..*|"
    + "|".join(
        [
            *(re.escape(progress.name) for progress in PROGRESS_FILES),
            *(tool.descriptions for tool in TOOLS if tool.descriptions is not None),
        ]
    ),
    re.IGNORECASE,
)
_COMPANIONS = "|".join(tool.companions for tool in TOOLS if tool.companions is not None)


def is_payload(name: str) -> bool:
    """Whether a file holds state (weights, optimizer, progress), not a tokenizer or a readme."""
    return name.endswith(_DATA)


def may_be_weights(name: str) -> bool:
    """Whether a file may be a save of any tool, by its ending."""
    return name.lower().endswith(_WEIGHTS) and not is_description(name)


def is_description(name: str) -> bool:
    """Whether a file only describes a checkpoint. Such files alone make no checkpoint."""
    return _DESCRIPTION.fullmatch(name.rpartition("/")[2]) is not None and not name.endswith(
        METADATA
    )


def state_files(names: Collection[str]) -> frozenset[str]:
    """The files that hold a checkpoint's state.

    If any file of a known kind is there, these are all files of known kinds. The others are then
    by-products, which may change or be missing. Else they are all files that are no description.
    """
    known = frozenset(name for name in names if is_payload(name))
    if any(not is_description(name) for name in known):
        return known
    return frozenset(name for name in names if not is_description(name))


def own_files(names: Collection[str]) -> frozenset[str]:
    """The state files that a trainer's tool wrote, as far as names tell; all if none is told so.

    Beside them an `emb.npz` or a `counter.bin` is a by-product: it may be empty, or all zeros.
    """
    state = state_files(names)
    return frozenset(filter(_is_own, state)) or state


def _is_own(name: str) -> bool:
    leaf = name.rpartition("/")[2]
    is_anybodys = leaf.endswith(_ANYBODYS) and re.fullmatch(_COMPANIONS, leaf) is None
    return is_state_file(leaf) and (
        not is_anybodys or speaks_for_itself(leaf) or is_companion(leaf)
    )
