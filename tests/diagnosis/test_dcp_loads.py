"""The output of torch's DCP when a load fails: the ranks' own tracebacks, in an envelope."""

import pytest

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import ExitEvidence

pytestmark = pytest.mark.timeout(30)
ENVELOPE = """\
Traceback (most recent call last):
  File "/job/train.py", line 9, in <module>
    dcp.load(state, checkpoint_id=path)
  File "/env/torch/distributed/checkpoint/utils.py", line 289, in all_gather
    raise CheckpointException(step, node_failures)
torch.distributed.checkpoint.api.CheckpointException: CheckpointException ranks:dict_keys([0])
Traceback (most recent call last): (RANK 0)
  File "/env/torch/distributed/checkpoint/utils.py", line 281, in all_gather
    result = map_fun()
  File "/env/torch/distributed/checkpoint/filesystem.py", line 871, in read_data
    with self.fs.create_stream(new_path, "rb") as stream:
"""


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize(
    ("line", "failure", "action"),
    [
        ("FileNotFoundError: [Errno 2] No such file or directory: '/c/step-5/__1_0.distcp'",
         Failure.CHECKPOINT_CORRUPT, Action.ROLLBACK),
        ("RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central"
         " directory. This is an internal miniz error. If you are seeing this error, there is a"
         " high likelihood that your checkpoint file is corrupted.",
         Failure.CHECKPOINT_CORRUPT, Action.ROLLBACK),
        ("OSError: [Errno 28] No space left on device", Failure.DISK_FULL, Action.HOLD),
    ],
)  # fmt: skip
def test_the_envelope_is_not_the_cause(
    line: str, failure: Failure, action: Action, seen: bool
) -> None:
    """The rank's own exception names the cause, also if the checkpoint is not at fault."""
    found = diagnose(ExitEvidence(1, None, (*ENVELOPE.splitlines(), line), first_step_seen=seen))
    assert (found.failure, found.action) == (failure, action)
    assert found.exception != "CheckpointException"


@pytest.mark.parametrize(("seen", "action"), [(False, Action.HOLD), (True, Action.RESTART)])
def test_a_checkpoint_of_another_model_is_held_before_the_first_step(
    seen: bool, action: Action
) -> None:
    """An older checkpoint would fit no better, so the run does not go back."""
    line = "RuntimeError: Missing key in checkpoint state_dict: model.w."
    found = diagnose(ExitEvidence(1, None, (*ENVELOPE.splitlines(), line), first_step_seen=seen))
    assert (found.failure, found.action) == (Failure.CHECKPOINT_MISMATCH, action)


def test_another_missing_file_is_none_of_a_checkpoint() -> None:
    """A data set's mistyped path is no damage of a checkpoint."""
    line = "FileNotFoundError: [Errno 2] No such file or directory: '/data/train.bin'"
    found = diagnose(ExitEvidence(1, None, (line,), first_step_seen=False))
    assert found.failure is not Failure.CHECKPOINT_CORRUPT
