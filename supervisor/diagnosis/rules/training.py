"""What trainers print when the numbers go wrong."""

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.rule import Rule

_INF = (
    "is inf",
    "was inf",
    "loss inf",
    "to inf",
    "or inf",
    "=inf",
    ": inf",
    "(inf",
    "-inf",
    "+inf",
)
_ENDING = ("stopp", "abort", "halt", "terminat")

TRAINING: tuple[Rule, ...] = (
    Rule(
        # "inf" alone is in every line that says INFO, and "nan" in few.
        (
            "nan",
            "infinit",
            "finite",
            "invalid values",
            "of std >= 0",
            "floatingpointerror",
            "invalid loss, term",
            *_INF,
        ),
        r"\bfound nan\b|\bnan (?:or inf )?(?:found|detected|encountered) in\b"
        r"|\bloss\b.{0,40} (?:is|was|became|becomes|has become|went|turned) (?:to )?"
        r"(?:nan|[+-]?inf\b|infinite|non-?finite|not finite)"
        r"|\bnon-?finite (?:loss|gradient|grad|value|weight|parameter)s?\b"
        r"|\bfor gradients from .{0,40}is non-finite"
        r"|^(?:\w+\.)*\w{0,40}(?:Error|Exception|Exit)\b.{0,100}\bloss ?[:=(] ?(?:nan|[+-]?inf)\b"
        r"|^(?:\w+\.)*\w{0,40}(?:Error|Exception|Exit)\b.{0,140}"
        r"\b(?:contains?|unexpected result|encountered|is|are|has|have|detected|invalid)"
        r" (?:a |an |some )?(?:nan|inf(?:inity|inite)?)s?\b"
        r"|^(?:\w+\.)*(?:Nan|NaN|NonFinite|InvalidLoss)\w{0,30}(?:Error|Exception)\b"
        r"|\btensor had (?:nan|inf)|\breturned nan values in its \d{1,3}th output|\bnan loss\b"
        r"|probability tensor contains either|expects all elements of std >= 0"
        r"|^FloatingPointError\b|\binvalid loss, terminating training\b"
        r"|but found invalid values:(?:.{0,200}\bnan\b|\s*$)",
        Failure.NON_FINITE_LOSS,
        Action.ROLLBACK,
        unless=r"\b(?:no|without|not|0) (?:nan|inf|non-?finite|infinite)\b|\bnan ?= ?0\b"
        r"|\bcannot convert float\b|\binput (?:x |y )?contains (?:nan|inf)",
        example="FloatingPointError: Loss became infinite or NaN at iteration=1002!",
        source="facebookresearch/detectron2, detectron2/engine/train_loop.py",
    ),
    Rule(
        ("loss scale already", "minimum loss scale", "scale is too small"),
        r"\bgrad(?:ient)?[_ ]scale is too small\b|loss scale already at minimum"
        r"|minimum loss scale reached",
        Failure.NON_FINITE_LOSS,
        Action.ROLLBACK,
        example="Exception: Current loss scale already at minimum - cannot decrease scale anymore."
        " Exiting run.",
        source="deepspeedai/DeepSpeed, deepspeed/runtime/fp16/loss_scaler.py",
    ),
    Rule(
        (
            "loss spike",
            "loss diverged",
            "spike",
            "loss_spike",
            "lossspike",
            "spiky loss",
            "diverg",
            "threshold",
            "watchdogerror",
            *(f"{verb}ing {what}" for verb in _ENDING for what in ("run", "training", "the ")),
        ),
        r"\bloss[ _]?spike(?:error)?\b.{0,40}(?:detected|at|:)|\bdetected .{0,20}loss spike"
        r"|^(?:\w+\.)*\w{0,40}(?:Error|Exception)\b.{0,300}\bspiky loss\b"
        r"|^(?:\w+\.)*\w{0,20}(?:LossWatchdog|LossDiverg\w{1,6}|Diverg\w{1,6})(?:Error|Exception)\b"
        r"|^(?:\w+\.)*\w{0,40}(?:Error|Exception)\b.{0,60}loss\b.{0,80}\bthreshold\b"
        r"|\b(?:stopped|stopping|exiting|aborted|aborting): .{0,30}\bloss[ _]spike\b"
        r"|\bspike\b.{0,20}: .{0,200}\b(?:stopping|aborting|exiting|giving up)\b"
        r"|\bloss diverged\b.{0,80}\b(?:giving up|stopp|abort|exit)"
        r"|\bloss\b.{0,160}\b(?:stopping|aborting|halting|terminating) (?:the )?(?:run|training)\b",
        Failure.LOSS_SPIKE,
        Action.RESTART,
        example="RuntimeError: Rank 3, node n12, device 3, iteration 2001:"
        " Unexpected result 48.2 (message='Spiky loss')",
        source="NVIDIA/Megatron-LM, megatron/core/rerun_state_machine.py",
    ),
)
