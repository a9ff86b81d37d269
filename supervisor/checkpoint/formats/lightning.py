"""Lightning, and NeMo, which is built on it."""

from supervisor.checkpoint.formats.name_rule import BestWord, NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(
        NameRule(
            "epoch=",
            r"(?:.*[-_])?epoch=(?P<epoch>\d+)[-_](?:.*[-_])?step=(?P<step>\d+)(?:[-_].*)?\.ckpt",
            "periodic",
            BestWord.BEST,
        ),
        # NeMo: NAME--val_loss=2.34-step=1000-consumed_samples=8000.0-last.ckpt
        NameRule(
            "step=",
            r"(?:.*[-_])?step=(?P<step>\d+)(?:[-_].*)?\.ckpt",
            "periodic",
            BestWord.BEST,
        ),
        NameRule(
            "epoch=",
            r"(?:.*[-_])?epoch=(?P<epoch>\d+)(?:[-_].*)?\.ckpt",
            "epoch",
            BestWord.BEST,
        ),
        # NeMo 2: directories
        NameRule(
            "-consumed_samples=",
            r".*[-_]step=(?P<step>\d+)-consumed_samples=\d+(?:\.\d+)?(?:-last)?",
            "periodic",
            BestWord.BEST,
        ),
        NameRule("hpc_ckpt_", r"hpc_ckpt_\d+\.ckpt", "emergency"),  # under SLURM
        NameRule("last", r"last(?:-v\d+)?\.ckpt", None),
    ),
    descriptions=r"hparams\.ya?ml",
)
