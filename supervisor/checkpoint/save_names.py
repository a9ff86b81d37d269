"""What a name says of an unknown file or directory: weights, data, or a by-product.

It reads no file. A name that says too little is no save: a false one would hold a training.
"""

import re
from collections.abc import Iterable

from supervisor.checkpoint.save_numbers import MOST_DIGITS, numbers

# Nothing but a trainer writes these; `.pt` and the like may also be tensors of a data set.
CERTAIN_ENDINGS = (
    *(".pt", ".pth", ".ckpt", ".safetensors", ".keras", ".msgpack", ".pt.tar", ".pth.tar"),
    *(".ckpt.tar", ".pdparams", ".pdopt", ".eqx", ".ubj", ".cbm", ".caffemodel", ".solverstate"),
)
# Weights and data alike: something else has to speak for them.
POSSIBLE_ENDINGS = (
    *(".bin", ".h5", ".hdf5", ".npz", ".pkl", ".pickle", ".joblib", ".zip", ".tar", ".tar.gz"),
    *(".tgz", ".model", ".params", ".onnx", ".dat", ".mdl", ".t7", ".state", ".weights"),
)
_TEXT_ENDINGS = (".json", ".txt", ".yaml", ".yml")
_NEVER_ENDINGS = (
    *(".log", ".out", ".err", ".csv", ".tsv", ".jsonl", ".md", ".html", ".pdf", ".svg", ".png"),
    *(".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".exr", ".mp4", ".avi", ".webm"),
    *(".mkv", ".mov", ".wav", ".mp3", ".flac", ".ogg", ".npy", ".arrow", ".parquet", ".feather"),
    *(".mds", ".lmdb", ".mdb", ".sqlite", ".db", ".tfrecord", ".recordio", ".idx", ".lock"),
    *(".tmp", ".temp", ".part", ".partial", ".incomplete", ".swp", ".pyc", ".py", ".sh", ".so"),
    *(".o", ".c", ".h", ".cpp", ".cu", ".ptx", ".cubin", ".whl", ".ipynb", ".wandb", ".prof"),
    *(".nsys-rep", ".core", ".toml", ".ini", ".cfg", ".xml", ".bak", ".gguf", ".tflite"),
)


def _table(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SAVE_WORDS = (
    *("ckpt", "checkpoint", "chkpt", "chkpnt", "weight", "model", "snapshot", "params", "state"),
    *("optim", "policy", "lora", "adapter", "unet", "generator", "critic"),
    *("encoder", "decoder", "transformer", "diffusion", "discriminator"),
)
_PROGRESS_WORDS = ("step", "epoch", "iter")
# A save under a name for people (`checkpoint-10.txt`) has one of these in it.
_CERTAIN_WORDS = ("ckpt", "checkpoint", "chkpt", "chkpnt", "weight")
_SINGLE_WORDS = frozenset({"last", "latest", "best", "final", "resume", "net", "ema", "actor"})
_DATA_WORDS = _table(
    "data dataset datasets train valid validation val test tests token tokens tokenized tokenised"
    " part parts chunk chunks batch batches example examples shard shards corpus text texts split"
    " block blocks graph graphs record records replay buffer of raw processed preprocessed"
    " fineweb webdataset image video audio mel attention feature latent embedding sample"
)
# What trainers make by the way, also under a save's name: `model_predictions_epoch_3.pt`.
_PRODUCT_WORDS = _table(
    "samples images img figure figures fig plot plots prediction predictions pred"
    " preds output outputs logit logits embeddings embed emb embs features"
    " latents activation activations attentions grad grads gradient gradients hist histogram"
    " histograms history metric metrics result results stat stats statistics trace traces profile"
    " profiler profiling memory log logs eval evaluation evaluations score scores videos"
    " recon reconstruction reconstructions rollout rollouts trajectory trajectories"
    " confusion tokenizer vocab spm sentencepiece spiece cache cached events core tfevents"
    " fid inception"
)
# Saved beside a model, under a name and a number of their own.
_COMPANION_WORDS = _table(
    "optim optims optimizer optimizers sched scheduler schedulers scaler rng ema"
)
_RESULT_WORDS = _table("gen generation generations generated detections masks answers captions")
_MODEL_WORDS = _table(
    "model net network ckpt checkpoint chkpt chkpnt weight param policy actor unet adapter lora"
    " generator critic encoder decoder transformer discriminator snapshot"
)
_TEMPORARY_WORDS = frozenset({"tmp", "temp", "partial", "incomplete", "staging", "deleting"})
# A folder `train`, `results` or `logs` is where many a trainer saves; these are not.
_DATA_FOLDERS = _table(
    "data dataset datasets token tokens tokenized tokenised tokenizer shard shards corpus raw"
    " processed preprocessed cache cached sample samples image images figures plots predictions"
    " embeddings features latents activations traces profile profiler profiling videos audio"
    " replay buffer"
)
# `val_loss=0.12` and `consumed_samples=800` in a name tell of a training, not of data.
_MEASURES = re.compile(
    r"consumed_samples|(?:val|valid|test|train|eval|dev)[-_/]?"
    r"(?:loss|acc\w{0,6}|f1|auc|scores?|map|miou|iou|bleu|rouge|wer|ppl|psnr|reward|metrics?|err)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def words(name: str) -> frozenset[str]:
    """The words of a name in lower case; `bestModel_10.pt` has best, model and pt."""
    return frozenset(word.lower() for word in _WORD.findall(_MEASURES.sub(" ", name)))


def has_save_word(name: str) -> bool:
    """Whether a name speaks of a save or of a training's progress."""
    lower = name.lower()
    return any(word in lower for word in (*_SAVE_WORDS, *_PROGRESS_WORDS)) or not (
        _SINGLE_WORDS.isdisjoint(words(name))
    )


def is_data_folder(name: str) -> bool:
    """Whether a directory's name says that data or a trainer's by-products lie in it."""
    return not _DATA_FOLDERS.isdisjoint(words(name)) and not _has(name, _CERTAIN_WORDS)


def is_weight_like(name: str, folder: str, *, is_spoken_for: bool) -> bool:
    """Whether a file may hold weights, by its name and that of its directory.

    `is_spoken_for`: an ending that weights and data share is enough (the trainer's arguments name
    the place, or the directory's name speaks of saves).
    """
    lower = name.lower()
    found = words(name)
    if (
        name.startswith(".")
        or lower.endswith(_NEVER_ENDINGS)
        or not _TEMPORARY_WORDS.isdisjoint(found)
    ):
        return False
    if lower.endswith((".ckpt", ".ckpt.tar")):
        return True
    is_called_save = _has(name, _SAVE_WORDS)
    if not _PRODUCT_WORDS.isdisjoint(found) or (
        not is_called_save and (not _DATA_WORDS.isdisjoint(found) or is_data_folder(folder))
    ):
        return False
    if lower.endswith(CERTAIN_ENDINGS):
        return True
    if lower.endswith(POSSIBLE_ENDINGS):
        return is_spoken_for or has_save_word(name)
    # TensorFlow's `ckpt-10.index`, a toy's `checkpoint-10.txt`, `weights_10` without an ending.
    return _has(name, _CERTAIN_WORDS) or (
        is_called_save and not lower.endswith(_TEXT_ENDINGS) and "." not in name
    )


def is_save_folder(name: str, parent: str, *, is_spoken_for: bool) -> bool:
    """Whether a directory's name is that of a numbered save: `checkpoint-20`, `step_5`, `25`."""
    found = words(name)
    if name.startswith(".") or not _TEMPORARY_WORDS.isdisjoint(found):
        return False
    is_called_save = _has(name, _SAVE_WORDS)
    if not _PRODUCT_WORDS.isdisjoint(found) or (is_data_folder(parent) and not is_called_save):
        return False
    if name.isascii() and name.isdecimal():
        return len(name) <= MOST_DIGITS and (is_spoken_for or has_save_word(parent))
    return has_save_word(name) and any(number.weight for number in numbers(name))


def is_state_file(name: str) -> bool:
    """Whether a file in a directory like `step_20` makes it a save, and not one of pictures."""
    lower = name.lower()
    if not _PRODUCT_WORDS.isdisjoint(words(name)) or lower.endswith(_NEVER_ENDINGS):
        return False
    return not lower.endswith(_TEXT_ENDINGS) or _has(name, _SAVE_WORDS)


def speaks_for_itself(name: str) -> bool:
    """Whether a directory's name makes any content a save: `checkpoint-20`, not `step_20`."""
    return _has(name, _SAVE_WORDS)


def is_companion(name: str) -> bool:
    """Whether a file goes with the weights, which are the ones to name: optimizer, EMA, scaler."""
    lower = name.lower()
    return any(word in lower for word in ("optim", "sched", "scaler", "rng", "random")) or (
        not words(name).isdisjoint({"ema", "opt"})
    )


def is_by_product(name: str) -> bool:
    """Whether a save of this name is no model's: predictions, embeddings, an optimizer alone.

    The last word says what it is: `score_model_5` is a model, `model_scores_5` is not.
    """
    spoken = [word.lower() for word in _WORD.findall(_MEASURES.sub(" ", _stem(name)))]
    while spoken and spoken[-1].rstrip("s") in _PROGRESS_WORDS:
        spoken.pop()
    if not spoken:
        return False
    companions = [word for word in spoken if word in _COMPANION_WORDS]
    has_model = any(word.rstrip("s") in _MODEL_WORDS for word in spoken)
    # Megatron's `model_optim_rng`, `model_and_optimizer`: all of the state in one file.
    if has_model and (len(companions) > 1 or (companions and "and" in spoken)):
        return False
    # `opt` at the beginning is a language model, too.
    is_companion = spoken[-1] == "opt" or bool(companions)
    is_product = not _PRODUCT_WORDS.isdisjoint(spoken) or "random" in spoken
    is_model = spoken[-1].rstrip("s") in _MODEL_WORDS
    return is_companion or (is_product and not is_model)


def holds_state(name: str) -> bool:
    """Whether a file of a kind that trainers write state in holds it, and no evaluation's results.

    `name`: relative to the directory of the save.
    """
    *folders, leaf = name.split("/")
    lower, spoken = leaf.lower(), words(leaf)
    if lower.endswith((".metadata", ".distcp")):
        return True  # nothing but DCP writes them
    if any(map(is_by_product, (*folders, leaf))) or lower.endswith(_NEVER_ENDINGS):
        return False
    if _has(leaf, _SAVE_WORDS) or not _SINGLE_WORDS.isdisjoint(spoken):
        return True
    # Any program writes the rest: `gen.pkl` and `scores.npz` are results.
    is_torchs = lower.endswith((".pt", ".pth", ".ckpt", ".safetensors", ".bin"))
    return is_torchs and spoken.isdisjoint(_DATA_WORDS | _RESULT_WORDS)


def _stem(name: str) -> str:
    """A name without its endings: `.` stands in `val_loss=0.12`, too."""
    lower = name.lower()
    endings = (*CERTAIN_ENDINGS, *POSSIBLE_ENDINGS)
    return name[: -max((len(e) for e in endings if lower.endswith(e)), default=-len(name))]


def _has(name: str, parts: Iterable[str]) -> bool:
    lower = name.lower()
    return any(part in lower for part in parts)
