"""What Python prints when a script cannot begin as it is written: any other rule knows better."""

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.configuration import PROGRAM, wrong
from supervisor.diagnosis.rules.rule import Calls, Rule

# The script's own mistakes. They come last: any other rule knows better. A traceback alone, without
# what was printed before, does not show that training had not begun.
START_MISTAKES: tuple[Rule, ...] = (
    wrong(
        ("typeerror", "attributeerror", "nameerror", "unboundlocalerror"),
        r"^(?:TypeError|NameError|UnboundLocalError)\b|^AttributeError: (?!'NoneType')",
        "TypeError: unsupported operand type(s) for /: 'str' and 'int'",
        PROGRAM,
        source="python/cpython, Lib/traceback.py",
        only_raised=True,
        only_unhandled=True,
        only_after_a_beginning=True,
    ),
    Rule(
        ("valueerror", "keyerror", "assertionerror", "notimplementederror", "exception: "),
        r"^(?:ValueError|KeyError|AssertionError|NotImplementedError)\b"
        r"|^Exception: .{0,80}\b(?:could not find|not found|unknown|invalid|must|please)\b",
        Failure.CONFIGURATION,
        Action.HOLD,
        example="KeyError: 'DDQDETRv2 is not in the mmdet::model registry.'",
        source="open-mmlab/mmpose#3033",
        advice=PROGRAM,
        only_before_first_step=True,
        only_raised=True,
        only_unhandled=True,
        only_after_a_beginning=True,
        calls=Calls.NOT_READING,
    ),
    wrong(
        (
            "config",
            "argument",
            "argpars",
            "option",
            "validation",
            "registr",
            "namenotfound",
            "decoding",
        ),
        r"^(?:\w+\.)+\w{0,30}(?:Config|ArgPars|Option|Validation|Registr|Unrecognized|NameNotFound"
        r"|Decoding|ParamShape)\w{0,30}\b(?:: |$)",
        "draccus.utils.DecodingError: `lrr`: The fields `lrr` are not valid for TrainerConfig",
        PROGRAM,
        source="dlwh/draccus, draccus/utils.py",
        only_raised=True,
        only_unhandled=True,
        only_after_a_beginning=True,
    ),
    wrong(
        ("runtimeerror",),
        r"^RuntimeError: (?:element 0 of tensors does not require grad"
        r"|Expected all tensors to be on"
        r" the same device|mat1 and mat2 |Input type .{0,80} should be the same"
        r"|The size of tensor a|Expected tensor for argument #|one_hot is only applicable"
        r"|Expected to have finished reduction|Trying to backward through the graph a second time"
        r"|one of the variables needed for gradient computation has been modified"
        r"|a (?:view of a )?leaf Variable that requires grad|Boolean value of Tensor with more"
        r"|expected scalar type|Given groups=)",
        "RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn",
        PROGRAM,
        source="LlamaFamily/Llama-Chinese#242",
        only_raised=True,
        only_unhandled=True,
    ),
    Rule(
        ("runtimeerror",),
        r"^RuntimeError: \S",
        Failure.CONFIGURATION,
        Action.HOLD,
        example="RuntimeError: You set `devices=8` in Lightning, but the number of tasks per node"
        " configured in SLURM `--ntasks-per-node=1` does not match.",
        source="Lightning-AI/pytorch-lightning, src/lightning/fabric/plugins/environments/slurm.py",
        advice=PROGRAM,
        only_before_first_step=True,
        only_raised=True,
        only_unhandled=True,
        only_after_a_beginning=True,
        calls=Calls.CHECKING,
    ),
)
