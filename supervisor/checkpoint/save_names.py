"""Judging an unknown file or directory by its name: a save, one of a series of saves, or neither.

It reads no file. A name that says too little is no save: a false one would hold the run.
"""

import re
from enum import Enum
from typing import NamedTuple

from supervisor.checkpoint.names import is_checkpoint_name
from supervisor.checkpoint.save_numbers import MOST_DIGITS, numbers
from supervisor.checkpoint.save_words import (
    CERTAIN_WORDS,
    DATA_FOLDERS,
    DATA_WORDS,
    EXPERIMENT_WORDS,
    PRODUCT_FOLDERS,
    PRODUCT_WORDS,
    PROGRESS_WORDS,
    RESULT_FOLDERS,
    SAVE_WORDS,
    SOURCE_WORDS,
    SUBJECT_WORDS,
    TEMPORARY_WORDS,
    has,
    has_save_word,
    head,
    is_called_save,
    is_model,
    is_plural,
    is_product,
    words,
)
from supervisor.checkpoint.suffixes import (
    ARCHIVE_ENDINGS,
    CERTAIN_ENDINGS,
    NEVER_ENDINGS,
    POSSIBLE_ENDINGS,
    SHARDS,
    TENSOR_ENDINGS,
    TEXT_ENDINGS,
)

# XGBoost and LightGBM save as text: `xgb_model_10.json`. But `model_summary_10.txt` is no save.
_BOOSTERS = re.compile(
    r"(?:.*[-_.])?(?:model|booster|xgb|xgboost|lgb|lgbm|lightgbm|gbm|gbdt)[-_]?\d+\.(?:json|txt)",
    re.IGNORECASE,
)


class NameClaim(Enum):
    """What a name claims to be."""

    NOTHING = "nothing"
    SERIES = "series"
    """It may be a save if its series has others. Alone it may as well be something else."""
    SAVE = "save"


class NamePlace(NamedTuple):
    """The directory that a name is in.

    `folder`: the directory's name. `above`: the names of the directories above it, up to where the
    search began, joined by `/`; a start that `is_told` is left out. `is_named`: the trainer's
    arguments name the directory, or one above it. `is_told`: they name the directory itself, or it
    is the trainer's working directory.
    """

    folder: str
    above: str
    is_named: bool
    is_told: bool

    def is_called_save(self) -> bool:
        """Whether the directory's name speaks of saves, or of a training's progress."""
        return has_save_word(self.folder)

    def is_of_products(self) -> bool:
        """Whether the directory or one above it has a name for by-products. False if `is_told`."""
        return not self.is_told and any(map(_holds_products, (self.folder, *self.above.split("/"))))

    def may_be_of_products(self) -> bool:
        """Whether `is_of_products`, or the directory is for results: some trainers save in one."""
        is_of_results = not RESULT_FOLDERS.isdisjoint(words(self.folder)) and not self.is_told
        return is_of_results or self.is_of_products()

    def takes(self, *, is_known: bool) -> bool:
        """Whether a name without a word for saves may be a save here: no data, no by-products.

        `is_known`: a known trainer gives its checkpoints such names.
        """
        if self.is_told or has(self.folder, CERTAIN_WORDS):
            return True
        found = words(self.folder)
        if self.is_of_products():
            return False
        if not RESULT_FOLDERS.isdisjoint(found):
            return is_known and found.isdisjoint(DATA_WORDS)
        of_data = DATA_FOLDERS | DATA_WORDS | PRODUCT_WORDS
        is_all_data = all(word in of_data for word in found if len(word) > 1)
        return found.isdisjoint(DATA_FOLDERS) or (
            # `image_classifier` has a word for data, but is no directory of images.
            (is_known or self.is_named) and not is_all_data
        )


def _holds_products(folder: str) -> bool:
    """Whether a directory's name says that it holds by-products: `eval`, but not `exp-eval-1`."""
    found = words(folder)
    return not PRODUCT_FOLDERS.isdisjoint(found) and found.isdisjoint(EXPERIMENT_WORDS)


def claim_of_file(name: str, place: NamePlace, *, is_enough: bool) -> NameClaim:
    """Return what a file may be, by its name and its place.

    `is_enough`: an ending that weights and data share is enough to make the file one of a series.
    The caller sets it once steps are seen, if an argument names the place or the ending is `.bin`.
    """
    own = claim_of_name(name, is_named=place.is_named)
    if own is NameClaim.NOTHING or name.lower().endswith((".ckpt", ".ckpt.tar")):
        return own
    lower = name.lower()
    is_known = is_checkpoint_name(name, None, is_directory=False)
    if not has(name, SAVE_WORDS) and not place.takes(is_known=is_known):
        return NameClaim.NOTHING
    if own is NameClaim.SERIES and lower.endswith(POSSIBLE_ENDINGS):
        if has(place.folder, SAVE_WORDS):
            return NameClaim.SAVE
        is_spoken_for = is_enough or has_save_word(name) or place.is_called_save()
        return NameClaim.SERIES if is_spoken_for else NameClaim.NOTHING
    return own


def claim_of_name(name: str, *, is_named: bool) -> NameClaim:
    """Return what a file may be by its name, whatever its place. `is_named`: as in `NamePlace`."""
    lower = name.lower()
    found = words(name)
    if (
        name.startswith(".")
        or lower.endswith(NEVER_ENDINGS)
        or not TEMPORARY_WORDS.isdisjoint(found)
    ):
        return NameClaim.NOTHING
    if lower.endswith((".ckpt", ".ckpt.tar")):
        return NameClaim.SAVE
    is_archive_of_source = lower.endswith(ARCHIVE_ENDINGS) and not SOURCE_WORDS.isdisjoint(found)
    if is_product(name) or is_archive_of_source:
        return NameClaim.NOTHING
    has_word = has(name, SAVE_WORDS)
    if not has_word and _is_data(name, is_named=is_named):
        return NameClaim.NOTHING
    # `curves`, `flowers`: a plural is seldom a model.
    is_many = not has_word and is_plural(head(stem(name)))
    if lower.endswith(SHARDS):
        return NameClaim.SAVE
    if lower.endswith(CERTAIN_ENDINGS):
        return NameClaim.SERIES if is_many else NameClaim.SAVE
    if lower.endswith(POSSIBLE_ENDINGS):
        is_known = is_checkpoint_name(name, None, is_directory=False) and lower.endswith(".zip")
        if is_called_save(name) or is_known:
            return NameClaim.SAVE
        return NameClaim.NOTHING if is_many and has(name, PROGRESS_WORDS) else NameClaim.SERIES
    # TensorFlow's `ckpt-10.index`, a toy's `checkpoint-10.txt`, `weights_10` without an ending.
    if has(name, CERTAIN_WORDS) or (has_word and "." not in name):
        return NameClaim.SAVE
    return NameClaim.SERIES if _BOOSTERS.fullmatch(name) is not None else NameClaim.NOTHING


def _is_data(name: str, *, is_named: bool) -> bool:
    """Whether a name without a word for saves speaks of data: `image_3.pt`."""
    own = words(name)
    of_data = DATA_WORDS if is_named else DATA_WORDS | SUBJECT_WORDS
    if own.isdisjoint(of_data):
        return False
    # A count of steps belongs to a training. Then the name's last word says what is trained.
    is_counted = any(number.weight for number in numbers(name))
    return not is_counted or head(stem(name)) in (of_data | {""})


def stem(name: str) -> str:
    """Return a name without its ending, if files of weights may have that ending."""
    lower = name.lower()
    endings = (one for one in (*CERTAIN_ENDINGS, *POSSIBLE_ENDINGS) if lower.endswith(one))
    return name[: len(name) - max(map(len, endings), default=0)]


def is_numbered_folder(name: str, place: NamePlace, *, is_enough: bool) -> bool:
    """Whether a directory is a numbered save by its name: `checkpoint-20`, `step_5`, `25`.

    `is_enough`: a number alone is enough.
    """
    found = words(name)
    if name.startswith(".") or not TEMPORARY_WORDS.isdisjoint(found):
        return False
    is_known = is_checkpoint_name(name, None, is_directory=True)
    if is_product(name) and not is_known:
        return False
    if not has(name, SAVE_WORDS) and not place.takes(is_known=is_known):
        return False
    if name.isascii() and name.isdecimal():
        return len(name) <= MOST_DIGITS and (is_enough or place.is_called_save())
    return is_known or (has_save_word(name) and any(number.weight for number in numbers(name)))


def claim_of_content(name: str) -> NameClaim:
    """Judge a directory like `step_20` by the name of one file in it: pictures make it no save."""
    claim = claim_of_name(name, is_named=False)
    lower = name.lower()
    if claim is not NameClaim.NOTHING or lower.endswith((*NEVER_ENDINGS, *TEXT_ENDINGS)):
        return claim
    is_other = not is_product(name) and not _is_data(name, is_named=False)
    # orbax names its files by their hashes, without an ending.
    return NameClaim.SAVE if is_other and "." not in name else NameClaim.NOTHING


def speaks_for_itself(name: str) -> bool:
    """Whether a directory is a save whatever it holds: `checkpoint-20`, but not `step_20`."""
    return has(name, SAVE_WORDS)


def is_tensor_name(name: str) -> bool:
    """Whether a name has an ending that data sets use, too."""
    return name.lower().endswith(TENSOR_ENDINGS)


def names_model(name: str) -> bool:
    """Whether a file's name says which model it holds: `featurenet_3.pt`, `text_encoder_3.pt`."""
    return has(name, SAVE_WORDS) or is_model(head(stem(name)))


def is_certain(name: str) -> bool:
    """Whether a name has an ending for weights alone, as far as endings tell."""
    return name.lower().endswith(CERTAIN_ENDINGS)


def is_companion(name: str) -> bool:
    """Whether a file goes with the weights: optimizer, EMA, scaler. A report names the weights."""
    return has(name, ("optim", "sched", "scaler", "rng", "random")) or (
        not words(name).isdisjoint({"ema", "opt"})
    )
