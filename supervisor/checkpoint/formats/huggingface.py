"""HF's Trainer, and the libraries around it (TRL, PEFT, diffusers)."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import Any

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ProgressFile, ToolFormat, TrainingRecord
from supervisor.checkpoint.layout import is_safe_name
from supervisor.checkpoint.listing import FileListing, read_object
from supervisor.checkpoint.proofs.bounded_json import parse
from supervisor.checkpoint.proofs.zip_archive import DamagedError
from supervisor.checkpoint.suffixes import INDEX_SUFFIX
from supervisor.core.ending import OwnRecord

_TRAINER_STATE = "trainer_state.json"
_MOST_INDEX_BYTES = 32 << 20
_SHARD = r"(.*)-(\d{5,6})-of-(\d{5,6})(\..*)"
# HF's libraries find shards with these names only by an index, which they write after the shards.
# Other tools find theirs by the count in the names.
_INDEXED = r"(?:.*/)?(?:model|pytorch_model|adapter_model|diffusion_pytorch_model)"
_INDEXED_TAILS = (".safetensors", ".bin")


def _check(stock: FileListing) -> None:
    """Check that all shards are there, and the file that HF's Trainer writes last.

    Other tools' shards with such names are checked too. Raises DamagedError with a sentence,
    OSError.
    """
    names = stock.files.keys()
    for name in names:
        if name.endswith(INDEX_SUFFIX):
            _check_index(stock, name)
    _check_shards(names)
    if "training_args.bin" in names and _TRAINER_STATE not in names:
        raise DamagedError(f"{_TRAINER_STATE} is missing, which HF's Trainer writes last")


def _check_index(stock: FileListing, name: str) -> None:
    """Check that all shards are there that an index names (`model.safetensors.index.json`).

    Raises DamagedError with a sentence, OSError.
    """
    try:
        index: Any = parse(stock.read(name, _MOST_INDEX_BYTES) or b"")
        shards = set(index.get("weight_map", {}).values())
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedError(f"{name} is not an index of shards") from error
    folder = name.rpartition("/")[0]
    for shard in sorted(map(str, shards)):
        if not is_safe_name(shard):
            raise DamagedError(f"{name} names {shard!r}, outside of the checkpoint")
        if (f"{folder}/{shard}" if folder else shard) not in stock.files:
            raise DamagedError(f"{shard} is missing, which {name} names")


def _check_shards(names: Set[str]) -> None:
    """Check that as many shards are there as `model-00002-of-00003.safetensors` says, and an index.

    Raises DamagedError with a sentence.
    """
    shards = [match.groups() for match in (re.fullmatch(_SHARD, name) for name in names) if match]
    counts = Counter((head, total, tail) for head, _, total, tail in shards)
    for (head, total, tail), count in counts.items():
        if count != int(total):
            raise DamagedError(f"{count} of {int(total)} files {head}-…{tail} exist")
        index = f"{head}{tail}{INDEX_SUFFIX}"
        is_indexed = tail in _INDEXED_TAILS and re.fullmatch(_INDEXED, head) is not None
        if is_indexed and int(total) > 1 and index not in names:
            raise DamagedError(f"{index} is missing, which is written after the shards it names")


def _best_paths(stock: FileListing) -> Iterable[object]:
    """The checkpoint that `trainer_state.json` calls the best, by path and by step.

    Raises OSError.
    """
    if not stock.is_directory:
        return ()
    state = read_object(stock, _TRAINER_STATE)
    return state.get("best_model_checkpoint"), _at_step(stock, state.get("best_global_step"))


def _at_step(stock: FileListing, step: object) -> str | None:
    """The name of the sibling of that step; None if the checkpoint's own name tells no step."""
    named = stock.named
    if named is None or named.step is None or type(step) is not int or not 0 <= step < 1 << 62:
        return None
    own = re.escape(str(named.step))
    name, count = re.subn(rf"(?<!\d){own}(?!\d)", str(step), stock.path.name)
    return name if count == 1 else None


def _read_record(name: str, state: Mapping[str, Any], *, is_output: bool) -> OwnRecord | None:
    """The steps done and the steps planned, by a trainer's state; None if it does not say them.

    The state is in each checkpoint, and in the output directory once training has ended
    (`save_state`).
    """
    step, total = state.get("global_step"), state.get("max_steps")
    if type(step) is not int or type(total) is not int or total <= 0 or step < 0:
        return None
    callbacks = state.get("stateful_callbacks")
    callbacks = callbacks if isinstance(callbacks, dict) else {}
    is_evaluated = _is_evaluated(state.get("log_history"), step)
    return OwnRecord(
        name,
        step,
        total,
        # `save_state` is called after training. A checkpoint says itself that it is the last.
        is_end=is_output or _is_told_to_stop(callbacks),
        is_early_stop=_is_early_stop(callbacks, is_evaluated=is_evaluated),
        is_at_evaluation=is_evaluated,
    )


def _is_told_to_stop(callbacks: Mapping[str, Any]) -> bool:
    return any(
        _part(control, "args").get("should_training_stop") is True
        for control in _states(callbacks, "TrainerControl")
    )


def _is_early_stop(callbacks: Mapping[str, Any], *, is_evaluated: bool) -> bool:
    """Whether HF's own EarlyStoppingCallback ended the training.

    The state has the callback's count of the last save. If the last evaluation came after it, the
    count is too low. So the callback and an evaluation at this very step are enough.
    """
    for callback in _states(callbacks, "EarlyStoppingCallback"):
        patience = _part(callback, "args").get("early_stopping_patience")
        count = _part(callback, "attributes").get("early_stopping_patience_counter")
        if isinstance(patience, int) and isinstance(count, int) and count >= patience:
            return True
        if is_evaluated:
            return True
    return False


def _is_evaluated(history: object, step: int) -> bool:
    entries = history if isinstance(history, list) else []
    return any(
        isinstance(entry, dict)
        and entry.get("step") == step
        and any(str(key).startswith("eval") for key in entry)
        for entry in entries[-8:]
    )


def _states(callbacks: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The states of a callback's class. HF writes several of one class as a list."""
    found = callbacks.get(name)
    states = found if isinstance(found, list) else [found]
    return [state for state in states if isinstance(state, dict)]


def _part(state: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = state.get(name)
    return part if isinstance(part, dict) else {}


FORMAT = ToolFormat(
    # The resume guide's trainers and accelerate use the same name.
    names=(NameRule("checkpoint-", r"checkpoint-(?P<step>\d+)", "periodic"),),
    incomplete_mark="checkpoint-is-incomplete.txt",
    progress=ProgressFile(_TRAINER_STATE, "global_step", "epoch", has_step_of_name=True),
    descriptions=r"training_args\.(?:bin|json)|.*\.index(?:\.\w+)?\.json|modules\.json|tokenizer.*"
    r"|special_tokens_map\.json|added_tokens\.json|vocab\..*|merges\.txt|tekken\.json"
    r"|(?:spiece|sentencepiece.*)\.model|chat_template.*",
    companions=r"(?:.*/)?(?:training_args\.bin|scheduler\.pt|scaler\.pt|rng_state.*\.pth)",
    per_rank=(r"(.*rng_state_)\d+(\.pth)", r"(.*)-\d{5,6}-of-\d{5,6}(\..*)"),
    record=TrainingRecord(_TRAINER_STATE, "checkpoint-", _read_record),
    best_paths=_best_paths,
    check=_check,
    resume="HF's Trainer: `resume: {args: [--resume_from_checkpoint, '{checkpoint}']}`, which the"
    " script hands to `train(resume_from_checkpoint=…)`",
    sign=r"trainer_state\.json",
)
