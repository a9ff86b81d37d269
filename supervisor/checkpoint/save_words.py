"""The words in the names of files: which speak of a save, of data, or of a by-product.

It reads no file. The tables of data and by-products are wide: a missing word could hold a run over
its plots.
"""

import re
from collections.abc import Iterable


def _table(text: str) -> frozenset[str]:
    return frozenset(text.split())


SAVE_WORDS = (
    *("ckpt", "checkpoint", "chkpt", "chkpnt", "weight", "model", "snapshot", "params", "state"),
    *("optim", "policy", "lora", "adapter", "unet", "generator", "critic"),
    *("encoder", "decoder", "transformer", "diffusion", "discriminator"),
)
PROGRESS_WORDS = ("step", "epoch", "iter")
# A file with one of these words is a save even if its ending is one of texts: `checkpoint-10.txt`.
CERTAIN_WORDS = ("ckpt", "checkpoint", "chkpt", "chkpnt", "weight")
SINGLE_WORDS = frozenset({"last", "latest", "best", "final", "resume", "net", "ema", "actor"})
DATA_WORDS = _table(
    "data dataset datasets train valid validation val test tests token tokens tokenized tokenised"
    " part parts chunk chunks batch batches example examples shard shards corpus split splits"
    " block blocks record records replay buffer of raw processed preprocessed label labels item"
    " items mol mols molecule molecules frame frames sentence sentences document documents doc docs"
    " scene scenes target targets input inputs fineweb webdataset"
)
# Subjects, which models and data have in their names: `image_classifier_3.pt`, `image_3.pt`.
SUBJECT_WORDS = _table(
    "text texts graph graphs image video audio speech mel attention attn feature latent embedding"
    " sample mask map token"
)
# By-products. Their names may have a word for saves, too: `model_predictions_epoch_3.pt`.
PRODUCT_WORDS = _table(
    "samples images img imgs figure figures fig figs plot plots prediction predictions pred"
    " preds output outputs logit logits embeddings embed emb embs features"
    " latents activation activations attentions grad grads gradient gradients hist histogram"
    " histograms history metric metrics result results stat stats statistics trace traces profile"
    " profiler profiling log logs eval evaluation evaluations score scores videos"
    " recon recons reconstruction reconstructions rollout rollouts trajectory trajectories"
    " confusion tokenizer vocab spm sentencepiece spiece cache cached events core tfevents"
    " memory fid inception roc auc cm tsne umap heatmap heatmaps saliency gradcam masks maps mem"
    " generation generations generated denoised predicted reconstructed rendered render renders"
    " detection detections vis viz visual visuals visualization visualizations grid grids curve"
    " curves spectrogram spectrograms pointcloud pointclouds cloud clouds mesh meshes report"
    " reports summary summaries captions completions responses answers benchmark benchmarks"
    " hidden onnx export exports projection projections"
    " neighbors neighbours similarity similarities clusters centroids"
)
_PRODUCTS = re.compile(
    r"(?:attention|attn|sample|class|loss)[-_]?weights?|(?:gpu|cuda|vram|oom)[-_]?snapshots?",
    re.IGNORECASE,
)
# An archive with one of these words in its name is a copy of the program.
SOURCE_WORDS = _table("code src source sources repo git backup script scripts project")
# Companions: trainers save them beside a model, under a name and a number of their own.
COMPANION_WORDS = _table(
    "optim optims optimizer optimizers sched scheduler schedulers scaler rng ema"
)
RESULT_WORDS = _table("gen generation generations generated detections masks answers captions")
MODEL_WORDS = _table(
    "model net network ckpt checkpoint chkpt chkpnt weight param policy actor unet adapter lora"
    " generator critic encoder decoder transformer discriminator snapshot"
)
TEMPORARY_WORDS = frozenset({"tmp", "temp", "partial", "incomplete", "staging", "deleting"})
# Directories of data. `train` and `logs` are not among them: many trainers save there.
DATA_FOLDERS = _table(
    "data dataset datasets token tokens tokenized tokenised tokenizer shard shards corpus raw"
    " processed preprocessed cache cached sample samples image images audio latents embeddings"
    " features videos replay buffer"
)
PRODUCT_FOLDERS = _table(
    "eval evals evaluation evaluations val valid validation metric metrics fig figs figure figures"
    " vis viz visual visuals visualization visualizations plot plots pred preds prediction"
    " predictions inference generation generations generated detections masks heatmaps render"
    " renders pointcloud cloud clouds stats statistics scores hist histograms confusion recon"
    " recons reconstruction reconstructions rollouts trajectories activations gradients traces"
    " profile profiler profiling analysis report reports summary summaries benchmark benchmarks"
)
EXPERIMENT_WORDS = _table("exp expt experiment")
# Some trainers save in such a directory, others evaluate there. Only a known name counts there.
RESULT_FOLDERS = _table("result results")
# `val_loss=0.12` and `consumed_samples=800` in a name tell of a training, not of data.
_MEASURES = re.compile(
    r"consumed_samples|(?:val|valid|test|train|eval|dev)[-_/]?"
    r"(?:loss|acc\w{0,6}|f1|auc|scores?|map|miou|iou|bleu|rouge|wer|ppl|psnr|reward|metrics?|err)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
# Words that do not say what a file holds.
_BESIDE = _table(
    "step steps epoch epochs ep iter iters iteration iterations global ba rank last latest final"
    " best new old small base large tiny of at"
)
# Names of models: as the end of a word, or as a whole word. Then data sets with such an end.
_MODELS = ("net", "former", "gan", "bert", "gpt", "vae", "rnn", "lstm", "network", "agent", "yolo")
_SHORT_MODELS = _table("lm llm mlp cnn gnn gcn gru vit dqn ppo sac ddpg trpo classifier regressor")
_NO_MODELS = _table("imagenet shapenet wordnet internet")
# Endings of words in the singular: `loss`, `corpus`, `analysis`.
_SINGULAR = ("ss", "us", "is")


def words(name: str) -> frozenset[str]:
    """Return the words of a name in lower case; `bestModel_10.pt` has best, model and pt."""
    return frozenset(in_order(name))


def in_order(name: str) -> list[str]:
    """Return the words of a name in lower case, in order, without measures such as `val_loss`."""
    return [word.lower() for word in _WORD.findall(_MEASURES.sub(" ", name))]


def is_product(name: str) -> bool:
    """Whether a name has a word for by-products, whatever other words it has."""
    return not PRODUCT_WORDS.isdisjoint(words(name)) or _PRODUCTS.search(name) is not None


def head(stem: str) -> str:
    """Return the word that says what a file holds: `classifier` of `image_classifier_3`, or "".

    `stem`: the file's name without its ending.
    """
    telling = [word for word in in_order(stem) if len(word) > 1 and word not in _BESIDE]
    return telling[-1] if telling else ""


def is_plural(word: str) -> bool:
    """Whether a word is a plural. A model's name is a singular."""
    return len(word) > 3 and word.endswith("s") and not word.endswith(_SINGULAR)


def is_model(word: str) -> bool:
    """Whether a word, in lower case, is a name for a model: `featurenet`."""
    return word in _SHORT_MODELS or (word.endswith(_MODELS) and word not in _NO_MODELS)


def has(name: str, parts: Iterable[str]) -> bool:
    """Whether any of the parts, in lower case, stands anywhere in a name, whatever its case."""
    lower = name.lower()
    return any(part in lower for part in parts)


def has_save_word(name: str) -> bool:
    """Whether a name speaks of a save or of a training's progress."""
    return is_called_save(name) or has(name, PROGRESS_WORDS)


def is_called_save(name: str) -> bool:
    """Whether a name speaks of a save. A word for progress alone may be an evaluation's."""
    return has(name, SAVE_WORDS) or not SINGLE_WORDS.isdisjoint(words(name))
