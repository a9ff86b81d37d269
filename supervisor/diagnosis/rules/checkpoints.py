"""What is printed when a checkpoint cannot be read, or does not fit.

Training data raise the same exceptions (`data.py`): a pickle that ends early may be a data set's
cache, or a pipe of another process. So the calls of the traceback decide which file is to blame.
"""

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.rule import Calls, Rule

# Readers of several kinds of files print these. Their calls tell which file it was.
WEIGHTS = (
    "pytorchstreamreader",
    "central directory",
    "safetensor",
    "metadataincompletebuffer",
    "headertoolarge",
    "headertoosmall",
    "invalidheader",
    "archive is corrupted",
    "unable to open table file",
)
WEIGHTS_REGEX = (
    r"pytorchstreamreader failed|failed finding central directory"
    r"|invalid header or archive is corrupted|\bUnable to open table file\b"
    r"|safetensor\w*:? ?error while deserializing|metadataincompletebuffer"
    r"|header too (?:large|small)"
    r"|headertoo(?:large|small)|invalidheader\w*"
)
UNREADABLE = (
    "invalid load key",
    "unpicklingerror",
    "pickle data was truncated",
    "unexpected eof",
    "file might be corrupted",
    "ran out of input",
    "badzipfile",
    "truncated",
    "zlib.error",
    "data_loss",
    "out_of_range: error reading",
    "readerror",
    "unpack failed",
    "datalosserror",
    "checksum",
    "file signature not found",
    "during read",
    "no data left in file",
    "as a pickle",
    "jsondecodeerror",
)
UNREADABLE_REGEX = (
    r"invalid load key|\bunpicklingerror\b"
    r"|pickle data was truncated|unexpected eof, expected \d|file might be corrupted"
    r"|eoferror: ran out of input|\bbadzipfile\b"
    r"|\bunpack failed: incomplete input|\bOUT_OF_RANGE: error reading|\btarfile\.ReadError"
    r"|\bDATA_LOSS: |\bDataLossError\b"
    r"|\bchecksum (?:verification failed|mismatch|error)"
    r"|^zlib\.error|\bfile is truncated\b|\btruncated file: eof ="
    r"|\bfile signature not found|\bfilter returned failure during read"
    r"|\bNo data left in file\b|\bFailed to interpret file .{1,300} as a pickle"
    r"|^(?:\w+\.)*JSONDecodeError\b"
)
_FITS_NOT = Advice(
    "The checkpoint is of another model or number of ranks: mend the script, or begin elsewhere.",
    "supervisor checkpoints",
)

CHECKPOINTS: tuple[Rule, ...] = (
    Rule(
        ("weights only load failed", "weights_only"),
        r"weights only load failed|please file an issue.{0,80}weights_only",
        Failure.CONFIGURATION,
        Action.HOLD,
        example="_pickle.UnpicklingError: Weights only load failed. This file can still be loaded",
        source="pytorch/pytorch, torch/serialization.py",
        advice=Advice(
            "Since torch 2.6 `torch.load` reads tensors alone: save plain values, or allow the"
            " class with torch.serialization.add_safe_globals."
        ),
        only_before_first_step=True,
    ),
    Rule(
        (".distcp", ".metadata", "file is corrupted"),
        r"\b(?:checkpoint|weights?|model|state|shard)\b.{0,60}\bfile is corrupted"
        r"|FileNotFoundError: .{0,40}no such file or directory: .{0,300}(?:\.distcp|/\.metadata)\b"
        r"|filesystem error: .{0,60}no such file or directory.{0,300}\.distcp\b",
        Failure.CHECKPOINT_CORRUPT,
        Action.ROLLBACK,
        example="FileNotFoundError: [Errno 2] No such file or directory:"
        " '/ckpt/step-50/__3_0.distcp'",
        source="pytorch/pytorch, torch/distributed/checkpoint/filesystem.py",
        calls=Calls.LOADING_IF_KNOWN,
    ),
    Rule(
        WEIGHTS,
        WEIGHTS_REGEX,
        Failure.CHECKPOINT_CORRUPT,
        Action.ROLLBACK,
        example="RuntimeError: PytorchStreamReader failed reading zip archive: failed finding"
        " central directory",
        source="open-mmlab/mmagic#876",
        calls=Calls.LOADING_IF_KNOWN,
    ),
    Rule(
        UNREADABLE,
        UNREADABLE_REGEX,
        Failure.CHECKPOINT_CORRUPT,
        Action.ROLLBACK,
        example="EOFError: Ran out of input",
        source="Intellindust-AI-Lab/DEIMv2#134",
        calls=Calls.LOADING,
    ),
    Rule(
        ("size mismatch", "error(s) in loading state_dict", "shape mismatch"),
        r"global shape mismatch for|size mismatch (?:for|between saved)"
        r"|error\(s\) in loading state_dict"
        r"|shape mismatch .{0,80}(?:checkpoint|saved)",
        Failure.CHECKPOINT_MISMATCH,
        Action.HOLD,
        example="RuntimeError: Error(s) in loading state_dict for GPT:",
        source="pytorch/pytorch, torch/nn/modules/module.py",
        advice=_FITS_NOT,
        late=Action.RESTART,
    ),
    Rule(
        (
            "p_degree",
            "current world size is",
            "value from checkpoint",
            "contains only the model",
            "cannot merge two lists",
            "objects could not be loaded",
            "state dict keys do not match",
            "load model parameters from",
            "shapes of both tensors to match",
            "state dict do not match",
        ),
        r"\bDP world size of \d+ but the current world size is"
        r"|\bvalue from checkpoint .{0,80}\bis not equal\b"
        r"|\bcheckpoint contains only the model\b|: Cannot merge two lists with different lengths"
        r"|\bobjects could not be loaded\b|\bstate dict keys do not match\b"
        r"|: Cannot load model parameters from|\bAssign requires shapes of both tensors to match"
        r"|\bloaded state dict do not match"
        r"|\b[dtpce]p_degree\b.{0,60}\b(?:inconsistent|mismatch|differ|not match)",
        Failure.CHECKPOINT_MISMATCH,
        Action.HOLD,
        example="AssertionError: dp_degree is inconsistent before and after"
        " checkpoint, dataloader resharding is not supported yet.",
        source="pytorch/torchtitan, torchtitan/components/dataloader.py",
        advice=_FITS_NOT,
        only_raised=True,
        late=Action.RESTART,
    ),
    Rule(
        (
            "world size",
            "world_size",
            "parallel size",
            "parallel degree",
            "missing key",
            "unexpected key",
            "number of parameter groups",
            "parameter group that doesn't match",
            "mp world",
            "tree structure",
            "stored shape",
            "dict keys",
        ),
        r"\b(?:world[ _]size|parallel (?:size|degree))\b.{0,120}\b(?:mismatch|differ|inconsistent"
        r"|does not match|doesn't match|not equal|was|!=)"
        r"|\b(?:missing|unexpected) key(?:\(s\)|s)? (?:in|found in) .{0,40}(?:state_dict"
        r"|checkpoint)"
        r"|\bdict keys? .{0,60}\bdo not match"
        r"|\brequested shape: .{0,80}is not compatible with the stored shape"
        r"|\btree structures? (?:do(?:es)? not|"
        r"don't) match|different number of parameter groups"
        r"|parameter group that doesn't match the size",
        Failure.CHECKPOINT_MISMATCH,
        Action.HOLD,
        example="ValueError: loaded state dict has a different number of parameter groups",
        source="pytorch/pytorch, torch/optim/optimizer.py",
        advice=_FITS_NOT,
        only_raised=True,
        calls=Calls.LOADING,
        late=Action.RESTART,
    ),
    Rule(
        ("keyerror",),
        r"^KeyError: '\w{0,40}(?:state_dict|model|optim|sched|scaler|ema|epoch|iteration|module)"
        r"\w{0,40}'",
        Failure.CHECKPOINT_MISMATCH,
        Action.HOLD,
        example="KeyError: 'optimizer_state_dict'",
        source="pytorch/pytorch, torch/serialization.py",
        advice=_FITS_NOT,
        only_raised=True,
        calls=Calls.LOADING,
        late=Action.RESTART,
    ),
)
