"""Whether a traceback's calls loaded a checkpoint, read data, uploaded or used the network.

It judges by the names of functions and files, so in doubt the answer is no. It names no failure.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import chain

from supervisor.diagnosis.traceback_frames import Frame
from supervisor.diagnosis.traceback_stream import Chain

_SAVED = (
    r"(?:checkpoint|ckpt|snapshot|state|weights|model|optim\w*|optimizer|scheduler|scaler|rng|ema)"
)
_GETS = r"(?:load|restore|resume|read|recover)"
_LOADER = re.compile(
    rf"(?:^|_){_GETS}(?:d|s|ed|ing)?(?:_.{{0,60}})?_{_SAVED}|(?:^|_){_SAVED}(?:_\w{{0,40}})?_{_GETS}"
    r"|(?:^|_)(?:resume|restore)(?:_|$)|from_(?:checkpoint|ckpt|pretrained)$"
)
_LOADS_IN = re.compile(r"(?:^|_)(?:load|restore|resume|read|get|open|deserialize)(?:_|$)")
_CHECKPOINT_FILE = re.compile(r"(?:checkpoint|ckpt)\w{0,40}\.py$")
# Gradient checkpointing: it shares the name, but loads no checkpoint.
_RECOMPUTING = ("torch/utils/checkpoint.py",)
_LIBRARIES = (
    ("torch/serialization.py", ("load", "_load", "_legacy_load")),
    ("torch/nn/modules/module.py", ("load_state_dict",)),
    ("safetensors/torch.py", ("load_file", "load_model")),
)
_LIBRARY_FOLDERS = ("torch/distributed/checkpoint/", "orbax/")
_LOAD_SOURCE = re.compile(
    r"\btorch\.load\(|\.load_state_dict\(|\bload_file\(|\bsafe_open\(|\bload_checkpoint\("
    r"|\bdcp\.load\(|\b_open_zipfile_reader\b|\.restore\(|\bTrainerState\.load_from_json\("
)
_READ_SOURCE = re.compile(r"\b(?:open|load|loads|read\w{0,20})\(")
_SAVED_SOURCE = re.compile(
    r"ckpt|checkpoint|resume|restor|snapshot|state(?:s|_dict|\.|\b)|optimizer", re.I
)
_DATA_FUNCTIONS = re.compile(
    r"__getitem__|__iter__|__next__|_next_data|next_batch|get_batch|collat|dataset|data_?loader"
    r"|tokeni|(?:^|_)data(?:_|$)|corpus|shards?(?:_|$)|samples?(?:_|$)|(?:^|_)batch(?:es)?(?:_|$)"
)
_DATA_FILES = re.compile(
    r"(?:data|dataset\w{0,20}|data_?loader\w{0,20}|tokeni\w{0,20}|fetch|corpus)\.py$|/datasets?/"
    r"|/data_?load(?:er|ing)s?/|augmenter\.py$"
)

_STEP_ENDS = re.compile(
    r"^clip_grad|^on_(?:train_batch|step|epoch|train_epoch)_end$|^_?evaluate$"
    r"|^evaluation_loop$|^_maybe_log_save_evaluate$|^_save_checkpoint$|^on_(?:validation|save)"
)
_OPTIMIZER_STEP = re.compile(r"\b_?optimizer_step\b")
_STEP = re.compile(
    r"^_?(?:train|training|optimizer|rollout|env)_?step$|^step$|^forward$|^_call_impl$|^backward$"
    r"|^compute_loss$|^train_(?:one_)?(?:epoch|batch|loop)$|^run_epoch$|^advance$|^closure$"
    r"|^generate\w{0,40}$|rollout|^reward|^__next__$|^_next_data$"
)
_UPLOADER = re.compile(
    r"(?:^|_)upload(?:_|s|er|$)|push_to_hub|create_commit|(?:^|_)put_object|(?:^|_)sync_to_"
)
_NETWORK_FILES = re.compile(
    r"/(?:urllib3|requests|httpx|httpcore|aiohttp|botocore|s3transfer|boto3|gcsfs|s3fs|grpc"
    r"|websockets?)/"
    r"|/http/client\.py$|/urllib/request\.py$|/ssl\.py$|/socket\.py$"
)


def all_frames(found: Chain) -> tuple[Frame, ...]:
    """The calls of all exceptions of a chain; the earliest exception's calls come first."""
    return tuple(chain.from_iterable(raised.frames for raised in found.raised))


def loads_checkpoint(frames: Sequence[Frame]) -> bool:
    """Whether a checkpoint was being loaded, by the names of functions and files and the source.

    `torch.load` within a data set counts as reading data.
    """
    if any(_names_checkpoint(frame) for frame in frames):
        return not _is_last_word_data(frames)
    return not reads_data(frames) and any(_may_load(frame) for frame in frames)


def reads_data(frames: Iterable[Frame]) -> bool:
    """Whether training data was being read."""
    return any(_is_data(frame) for frame in frames)


def shows_a_step(frames: Sequence[Frame]) -> bool:
    """Whether the calls belong to the end of a step: its optimizer, a callback, an evaluation.

    Lightning calls the model from within the optimizer's step, so only its last call counts.
    """
    if frames and _OPTIMIZER_STEP.search(f"{frames[-1].function} {frames[-1].source}"):
        return True
    return any(_STEP_ENDS.search(frame.function) is not None for frame in frames)


def makes_a_step(frames: Iterable[Frame]) -> bool:
    """Whether the calls belong to a step of training: it may be any step."""
    return any(_STEP.search(frame.function) is not None for frame in frames)


def is_upload(frames: Iterable[Frame]) -> bool:
    """Whether something was being uploaded."""
    return any(_UPLOADER.search(frame.function) is not None for frame in frames)


def is_network(frames: Sequence[Frame]) -> bool:
    """Whether the innermost call is in a network library, not in the program's own code."""
    return bool(frames) and _NETWORK_FILES.search(frames[-1].path) is not None


def _names_checkpoint(frame: Frame) -> bool:
    if frame.path.endswith(_RECOMPUTING) or _is_data(frame):
        return False
    if _LOADER.search(frame.function) is not None:
        return True
    is_folder = any(folder in frame.path for folder in _LIBRARY_FOLDERS)
    is_file = is_folder or _CHECKPOINT_FILE.search(frame.path) is not None
    return is_file and _LOADS_IN.search(frame.function) is not None


def _may_load(frame: Frame) -> bool:
    if any(frame.path.endswith(path) and frame.function in names for path, names in _LIBRARIES):
        return True
    if _LOAD_SOURCE.search(frame.source) is not None:
        return True
    reads = _READ_SOURCE.search(frame.source)
    return reads is not None and _SAVED_SOURCE.search(frame.source) is not None


def _is_data(frame: Frame) -> bool:
    if any(folder in frame.path for folder in _LIBRARY_FOLDERS):
        return False  # `read_data` in there reads a checkpoint
    if frame.path.endswith(("config.py", "/os.py")):
        return False  # it checks the size of batches, and reads none
    if _DATA_FUNCTIONS.search(frame.function) is not None:
        return True
    return _DATA_FILES.search(frame.path) is not None


def _is_last_word_data(frames: Sequence[Frame]) -> bool:
    """Whether data was read below the last call that names a checkpoint.

    A run that is being resumed may build its data set anew.
    """
    named = max(at for at, frame in enumerate(frames) if _names_checkpoint(frame))
    return any(_is_data(frame) and "state" not in frame.function for frame in frames[named + 1 :])


# Outermost calls, above which nothing can catch an exception: a script, `python -m`, a child's
# first function.
_ROOTS = frozenset({"<module>", "_run_module_as_main", "_run_code", "_bootstrap", "_main"})


def is_outermost(frames: Sequence[Frame]) -> bool:
    """Whether the first call is one above which nothing can catch an exception.

    A traceback that a handler printed begins at the handler's own function. Without calls a script
    did not compile.
    """
    return not frames or is_outermost_call(frames[0].path, frames[0].function)


def is_outermost_call(path: str, function: str) -> bool:
    """Whether nothing can catch an exception above this call.

    A library's module is imported by someone.
    """
    if function == "<module>" and ("/site-packages/" in path or "/dist-packages/" in path):
        return False
    return function in _ROOTS or path.startswith("<frozen runpy>")
