"""What launchers put before a line is taken off; nothing else is."""
# ruff: noqa: E501 -- a printed line stays one line

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.diagnosis.line_prefix import common_labels, split_prefix
from supervisor.diagnosis.log_line import clean

pytestmark = pytest.mark.timeout(60)

TEXT = "RuntimeError: CUDA error: unspecified launch failure"
# who prints it, what stands before the line, the stream, whether a time is in it
LABELS = [
    ("torch", "[rank3]: ", "[rank3]:", False),
    ("torch, before a record", "[rank3]:", "[rank3]:", False),
    ("torchrun --tee", "[default0]:", "[default0]:", False),
    ("torchrun, a role", "[trainer12]:", "[trainer12]:", False),
    ("by hand", "[Rank 0] ", "[Rank 0]", False),
    ("srun -l", "0: ", "0:", False),
    ("srun -l", " 3: ", "3:", False),
    ("srun -l", "127: ", "127:", False),
    ("mpirun --tag-output", "[1,0]<stderr>:", "[1,0]<stderr>:", False),
    ("mpirun --tag-output", "[1,12]<stdout>: ", "[1,12]<stdout>:", False),
    ("prterun", "[prterun-node-1@1,0]<stderr>: ", "[prterun-node-1@1,0]<stderr>:", False),
    ("Ray", "(RayTrainWorker pid=123, ip=10.0.0.1) ", "(RayTrainWorker pid=123, ip=10.0.0.1)", False),
    ("Ray, coloured", "\x1b[36m(RayTrainWorker pid=123, ip=10.0.0.1)\x1b[0m ", "(RayTrainWorker pid=123, ip=10.0.0.1)", False),
    ("Ray, a driver", "(pid=123) ", "(pid=123)", False),
    ("Ray, an actor's own name", "(Worker(rank=1) pid=123) ", "(Worker(rank=1) pid=123)", False),
    ("SkyPilot", "(worker1, rank=1, pid=123, ip=10.0.0.1) ", "(worker1, rank=1, pid=123, ip=10.0.0.1)", False),
    ("docker compose", "trainer-1  | ", "trainer-1  |", False),
    ("docker compose 1", "trainer_1  | ", "trainer_1  |", False),
    ("kubectl --prefix", "[pod/train-worker-0/pytorch] ", "[pod/train-worker-0/pytorch]", False),
    ("kubectl --timestamps", "2025-03-14T05:12:09.123456789Z ", "", True),
    ("kubeflow", "worker-0: ", "worker-0:", False),
    ("kubeflow", "mnist-master-0: ", "mnist-master-0:", False),
    ("pdsh", "node01: ", "node01:", False),
    ("pdsh", "gpu-node-017.cluster: ", "gpu-node-017.cluster:", False),
    ("deepspeed", "localhost: ", "localhost:", False),
    ("AWS", "ip-10-0-1-17: ", "ip-10-0-1-17:", False),
    ("ISO", "2025-03-14 05:12:09 ", "", True),
    ("ISO", "2025-03-14T05:12:09+01:00 ", "", True),
    ("logging", "2025-03-14 05:12:09,123 - ", "", True),
    ("logging", "[2025-03-14 05:12:09,123] ", "", True),
    ("logging", "03/14/2025 05:12:09 - ", "", True),
    ("loguru", "2025-03-14 05:12:09.123 | ", "", True),
    ("rich", "[03/14/25 05:12:09] ", "", True),
    ("mmengine", "03/14 05:12:09 - ", "", True),
    ("detectron2", "[03/14 05:12:09 d2.engine.train_loop]: ", "", True),
    ("date", "[05:12:09] ", "", True),
    ("dmesg", "[  123.456789] ", "", True),
    ("dmesg -T", "[Fri Mar 14 05:12:09 2025] ", "", True),
    ("journald", "Mar 14 05:12:09 gpu-17 python[123]: ", "python[123]", True),
    ("rsyslog", "2025-03-14T05:12:09.123456+00:00 gpu-17 python[123]: ", "python[123]", True),
    ("ts", "Mar 14 05:12:09 ", "", True),
    ("several", "trainer-1  | [default0]:2025-03-14 05:12:09,123 - ", "trainer-1  |[default0]:", True),
    ("several", "2025-03-14T05:12:09.123Z [rank3]: ", "[rank3]:", True),
    ("several", "[pod/train-0/pytorch] 2025-03-14T05:12:09.123Z [rank3]:", "[pod/train-0/pytorch][rank3]:", True),
    ("several", "node01: 0: [rank0]: ", "node01:0:[rank0]:", False),
    ("several", "(RayTrainWorker pid=1, ip=10.0.0.1) [rank0]: ", "(RayTrainWorker pid=1, ip=10.0.0.1)[rank0]:", False),
]  # fmt: skip
NO_LABELS = [
    "Error: no such option",
    "loss: 0.1",
    "Epoch 3: train_loss 0.1",
    "Epoch-3 | loss 0.1",
    "step-10 | loss 0.1",
    "step10: loss 0.1",
    "layer1: ok",
    "cuda:0: out of memory",
    "E0314 01:02:03.000 123 torch/distributed/run.py:766] failed",
    "W0314 01:02:03.000000 123 torch/distributed/run.py:766] x",
    "I1115 16:00:39.451272 140403691364352 trainer.py:501] x",
    "gpu-17:4120:4388 [0] NCCL INFO Bootstrap: Using eth0:10.3.1.17<0>",
    "ValueError: x",
    "train.py: error: unrecognized arguments: --x",
    "[E ProcessGroupNCCL.cpp:583] x",
    "slurmstepd: error: Detected 1 oom_kill event in StepId=1.0",
    "srun: error: n1: task 0: Killed",
    "[PG ID 0 PG GUID 0 Rank 3] Watchdog",
    "12/469 [====>.....] - ETA: 3s",
    "(most recent call last)",
    "  File \"train.py\", line 3, in <module>",
    "[step10]: x",
    "python3: can't open file 'x.py'",
    "wandb: x",
]  # fmt: skip


@pytest.mark.parametrize(("who", "before", "stream", "is_stamped"), LABELS)
@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "Traceback (most recent call last):",
        '  File "train.py", line 3, in step',
        "step 100 | loss 2.1",
        "{'loss': 2.1}",
        "12%|#2  | 120/1000 [00:10<01:13, 12.01it/s]",
    ],
)
def test_a_label_is_taken_off(
    who: str, before: str, stream: str, is_stamped: bool, text: str
) -> None:
    """The stream is the process that printed the line."""
    assert split_prefix(clean(before + text)) == (stream, text, is_stamped), who


@pytest.mark.parametrize("line", NO_LABELS)
def test_text_is_no_label(line: str) -> None:
    """What a program says by itself stays whole."""
    assert split_prefix(line) == ("", line, False)


def test_ray_says_how_often_a_line_was_repeated() -> None:
    """The count is no part of the text."""
    line = "(RayTrainWorker pid=1) OSError: x [repeated 3x across cluster]"
    more = f"{line} (Ray deduplicates logs by default. Set RAY_DEDUP_LOGS=0 to disable.)"
    assert split_prefix(line).body == split_prefix(more).body == "OSError: x"


def test_other_labels_count_if_most_lines_carry_one() -> None:
    """Hosts of any name; one line that begins so is text."""
    lines = [f"dgx-a{n % 3}: step {n} loss 2.1" for n in range(30)]
    labels = common_labels(lines)
    assert set(labels) == {"dgx-a0: ", "dgx-a1: ", "dgx-a2: "}
    assert split_prefix("dgx-a1: Traceback", labels) == ("dgx-a1:", "Traceback", False)
    assert split_prefix("dgx-a1: Traceback") == ("", "dgx-a1: Traceback", False)
    assert common_labels([f"hello {n}" for n in range(30)] + lines[:5]) == ()
    services = [f"{'trainer' if n % 2 else 'proxy'} | step {n}" for n in range(30)]
    assert set(common_labels(services)) == {"trainer | ", "proxy | "}


@pytest.mark.parametrize(
    "line", ["loss: 0.{}", "Error: {}", "Epoch {}: x", "step-{}: x", "epoch-1 | loss {}", "{} | x"]
)
def test_text_that_is_repeated_is_no_label(line: str) -> None:
    """A log of nothing but losses has no hosts."""
    lines = [line.format(n) for n in range(30)]
    assert common_labels(lines) == ()


@given(st.text())
def test_nothing_is_lost_behind_the_label(line: str) -> None:
    """The body is the line's end, whatever the line is."""
    text = clean(line)
    body = split_prefix(text).body
    assert text.endswith(body) or "[repeated " in text
