"""By-products of a save, told by name: predictions, plots, an optimizer in a file of its own.

It reads no file. `names.py` asks it about files, `shared_names.py` about a directory's contents.
"""

from supervisor.checkpoint.save_words import (
    COMPANION_WORDS,
    DATA_WORDS,
    MODEL_WORDS,
    PRODUCT_WORDS,
    PROGRESS_WORDS,
    RESULT_WORDS,
    SAVE_WORDS,
    SUBJECT_WORDS,
    has,
    in_order,
    is_called_save,
    is_product,
    words,
)
from supervisor.checkpoint.suffixes import (
    CERTAIN_ENDINGS,
    NEVER_ENDINGS,
    POSSIBLE_ENDINGS,
    SHARDS,
    SINGLE_FILE_SUFFIXES,
    TEXT_ENDINGS,
)


def is_by_product(name: str) -> bool:
    """Whether a file of this name holds something else than a model: predictions, an optimizer.

    The last word says what a file is: `score_model_5` is a model, `model_scores_5` is scores.
    """
    spoken = in_order(_stem(name))
    while spoken and spoken[-1].rstrip("s") in PROGRESS_WORDS:
        spoken.pop()
    if not spoken:
        return False
    companions = [word for word in spoken if word in COMPANION_WORDS]
    has_model = any(word.rstrip("s") in MODEL_WORDS for word in spoken)
    # Megatron's `model_optim_rng`, `model_and_optimizer`: all of the state in one file.
    if has_model and (len(companions) > 1 or (companions and "and" in spoken)):
        return False
    # At the beginning of a name `opt` may be the language model OPT.
    is_companion = spoken[-1] == "opt" or bool(companions)
    is_made = not PRODUCT_WORDS.isdisjoint(spoken) or "random" in spoken
    is_model = spoken[-1].rstrip("s") in MODEL_WORDS
    return is_companion or (is_made and not is_model)


def is_state_file(name: str) -> bool:
    """Whether a file may hold a part of a save's state, as far as its name tells."""
    lower = name.lower()
    if is_product(name) or lower.endswith(NEVER_ENDINGS):
        return False
    return not lower.endswith(TEXT_ENDINGS) or has(name, SAVE_WORDS)


def holds_state(name: str) -> bool:
    """Whether a file holds training state, as far as its name tells, and no evaluation's results.

    `name`: relative to the directory of the save.
    """
    *folders, leaf = name.split("/")
    lower = leaf.lower()
    if lower.endswith(SHARDS):
        return True  # only DCP writes these endings
    if any(map(is_by_product, (*folders, leaf))) or lower.endswith(NEVER_ENDINGS):
        return False
    if is_called_save(leaf):
        return True
    # Any program may write the other endings: `gen.pkl` and `scores.npz` are results.
    of_others = DATA_WORDS | SUBJECT_WORDS | RESULT_WORDS
    return lower.endswith(SINGLE_FILE_SUFFIXES) and words(leaf).isdisjoint(of_others)


def _stem(name: str) -> str:
    """A name without a known ending. A cut at the last `.` would break `val_loss=0.12`."""
    lower = name.lower()
    endings = (*CERTAIN_ENDINGS, *POSSIBLE_ENDINGS)
    return name[: len(name) - max((len(e) for e in endings if lower.endswith(e)), default=0)]
