"""Every failure's shape, in lines with other hosts, pids and numbers than in the samples."""

from pathlib import Path

import pytest

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import Diagnosis, ExitEvidence

pytestmark = pytest.mark.timeout(30)


def ended(
    *lines: str, seen: bool = True, code: int | None = 1, signal: int | None = None
) -> Diagnosis:
    """The diagnosis of these last lines."""
    return diagnose(
        ExitEvidence(code if signal is None else None, signal, lines, first_step_seen=seen)
    )


SHAPES = (Path(__file__).parent / "shapes.tsv").read_text("utf-8").splitlines()[1:]


@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
@pytest.mark.parametrize(
    "prefix", ["", "[rank2]: ", "2025-02-01 10:11:12,345 ", "\x1b[31m", " 3: "]
)
def test_a_line_of_this_shape_names_its_failure(shape: str, prefix: str) -> None:
    """Each shape is known alone, labelled with a rank, stamped with a time, and coloured."""
    failure, action, line = shape.split("\t", 2)
    found = ended("step 811 loss 2.31", prefix + line)
    assert (found.failure, found.action) == (failure, action)
    assert any(line[:60] in evidence for evidence in found.evidence)


CONFIGURATION = [
    "train.py: error: unrecognized arguments: --learning_rte 3e-4",
    "train.py: error: the following arguments are required: --data",
    "train.py: error: argument --lr: invalid float value: '3e-4x'",
    "Error: No such option: --foo",
    "ModuleNotFoundError: No module named 'flash_attn'",
    "ImportError: cannot import name 'x' from 'y' (/a/y.py)",
    "/usr/bin/python3: No module named trainn",
    "python: can't open file '/job/trian.py': [Errno 2] No such file or directory",
    "SyntaxError: invalid syntax",
    "IndentationError: unexpected indent",
    "pydantic_core._pydantic_core.ValidationError: 2 validation errors for TrainConfig",
    "omegaconf.errors.ConfigAttributeError: Key 'lrr' is not in struct",
    "hydra.errors.MissingConfigException: Cannot find primary config 'confg'",
    "yaml.scanner.ScannerError: mapping values are not allowed here",
    "FileNotFoundError: [Errno 2] No such file or directory: 'configs/small.yaml'",
    "ValueError: Unknown config key: dropoutt",
    "bash: line 1: trainn: command not found",
]


@pytest.mark.parametrize("line", CONFIGURATION)
def test_configuration_is_held_before_the_first_step_only(line: str) -> None:
    """An error that prevents a start is held for a human; after steps it is an ordinary death."""
    before = ended(line, seen=False)
    assert (before.failure, before.action) == (Failure.CONFIGURATION, Action.HOLD)
    assert ended(line, seen=True).failure is not Failure.CONFIGURATION


@pytest.mark.parametrize("name", ["NameError", "TypeError", "AttributeError", "KeyError"])
def test_a_mistake_in_the_program_is_an_exception(name: str) -> None:
    """Mistakes in a program may depend on data or state, so the run is restarted."""
    found = ended(
        "Traceback (most recent call last):",
        '  File "/job/train.py", line 3, in <module>',
        "    go()",
        f"{name}: something",
        seen=False,
    )
    assert (found.failure, found.exception, found.frame) == (
        Failure.EXCEPTION,
        name,
        "train.py:<module>",
    )


INNOCENT = [
    "no errors",
    "0 errors, 0 warnings",
    "OOM score adjusted to 0",
    "oom_score_adj=300",
    "eval loss nan=0 inf=0",
    "ECC enabled: True, uncorrectable ECC errors: 0",
    "GPU 0: 0 uncorrectable ECC errors",
    " 45%|████▌     | 450/1000 [01:10<01:25,  6.41it/s]",
    "retrying after Connection reset by peer, ok",
    "WARNING: NCCL error in heartbeat thread ignored, continuing",
    "UserWarning: CUDA out of memory can occur with this batch size",
    "using PYTORCH_CUDA_ALLOC_CONF to avoid CUDA out of memory",
    "Found no NaN in the loss so far",
    "Gradient overflow. Skipping step, loss scaler 0 reducing loss scale to 32768",
    "node1:12:40 [0] NCCL INFO Connected all rings",
    "node1:12:40 [0] NCCL INFO Call to connect returned Connection refused, retrying",
    "[W socket.cpp:663] [c10d] The client socket has failed to connect to [n1]:29500, retrying",
    "Killed 3 stale workers before the start",
    "Rendezvous complete for workers",
    "disk has 1 TB left on device nvme0n1",
    "CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace"
    " below might be incorrect.",
    "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.",
    "NVRM: Xid (PCI:0000:cb:00): 43, pid=12, name=python, Ch 00000008",
    "NVRM: Xid (PCI:0000:cb:00): 63, pid=12, Row Remapper: New row marked for remapping",
    "[rank1]:[E ProcessGroupNCCL.cpp:583] [Rank 1] To avoid data inconsistency, we are taking the"
    " entire process down.",
    "torch.distributed.elastic.multiprocessing.api: [WARNING] Unable to shutdown process 7 via"
    " Signals.SIGTERM, forcefully exiting via Signals.SIGKILL",
    "ERROR:torch.distributed.elastic.multiprocessing.api:failed (exitcode: -9) local_rank: 3"
    " (pid: 9) of binary: /usr/bin/python",
]


@pytest.mark.parametrize("line", INNOCENT)
def test_an_innocent_line_never_wins(line: str) -> None:
    """The exception that ended the run is the diagnosis, whatever lines surround it."""
    traceback = [
        "Traceback (most recent call last):",
        '  File "/job/loop.py", line 31, in train',
        "    batch = table[index]",
        "IndexError: list index out of range",
    ]
    for lines in ([line, *traceback], [*traceback, line], [line, *traceback, line]):
        found = ended(*lines)
        assert (found.failure, found.frame) == (Failure.EXCEPTION, "loop.py:train")


@pytest.mark.parametrize("line", [one for one in INNOCENT if "exitcode" not in one])
def test_an_innocent_line_alone_is_no_cause(line: str) -> None:
    """A kill and a plain exit keep their own names beside an innocent line."""
    assert ended(line, signal=9).failure is Failure.KILLED
    if "WARN" not in line and "retrying" not in line and "Warning" not in line:
        assert ended(line).failure is Failure.UNKNOWN


@pytest.mark.parametrize(
    ("line", "is_ours"),
    [
        ("ModuleNotFoundError: No module named 'supervisor'", True),
        ("ModuleNotFoundError: No module named 'supervisor.worker'", True),
        ("ImportError: cannot import name 'worker' from 'supervisor' (/a/__init__.py)", True),
        ("ModuleNotFoundError: No module named 'supervisors'", False),
        ("ModuleNotFoundError: No module named 'supervisor.options'", False),
        ("ModuleNotFoundError: No module named 'flash_attn'", False),
    ],
)
def test_a_script_that_lacks_this_project_is_told_its_name(line: str, is_ours: bool) -> None:
    """`pip install supervisor` would bring another program."""
    found = ended(line, seen=False)
    assert (found.failure, found.action) == (Failure.CONFIGURATION, Action.HOLD)
    assert found.advice is not None
    assert (found.advice.command == "python -m pip install train-supervisor") is is_ours
