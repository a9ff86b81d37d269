"""The lines of progress of each tool, as its rows say, and what only looks like them."""
# ruff: noqa: E501 -- a printed line stays one line

import re
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.labelled_logs import HEALTHY_LOGS, read_logs
from supervisor.daemon.look.printed_course import Course, PrintedCourse
from supervisor.daemon.look.progress_line import read_progress
from supervisor.daemon.look.tool_lines import TOOL_LINES, ToolLine

AFRESH = Path(__file__).parents[1] / "diagnosis" / "written_afresh.tar.xz"
STEPS_OF_HEALTHY_LOGS = Path(__file__).with_name("printed") / "steps_of_healthy_logs.txt"
_HEADING = {"keras": "Epoch 3/10", "keras, verbose=2": "Epoch 3/10"}

SHOWN = {
    "transformers, TRL, axolotl, LLaMA-Factory": Course(epoch=0, loss=1.358),
    "tqdm, accelerate's examples": Course(step=120, total=1000),
    "diffusers' scripts": Course(step=100, total=1000, loss=0.1),
    "kohya": Course(step=192, total=1600, loss=0.0912),
    "Lightning, tqdm": Course(epoch=3, batch=45, batches=100, loss=2.31),
    "Lightning, tqdm, where the name stands on another line": Course(
        batch=45, batches=100, loss=2.31
    ),
    "Lightning, rich": Course(epoch=3, epochs=9, batch=45, batches=100, loss=1.2),
    "NeMo 1": Course(step=19, epoch=0, loss=9.1),
    "NeMo 2": Course(step=9, epoch=0, loss=7.1),
    "Megatron-LM": Course(step=100, total=500000, loss=2.11842),
    "DeepSpeed": Course(step=10),
    "DeepSpeed, throughput": Course(step=10),
    "torchtitan": Course(step=10, loss=7.1234),
    "torchtune": Course(epoch=1, batch=25, batches=1250, loss=1.0512),
    "composer, by batches": Course(step=20, total=3200),
    "composer, by epochs": Course(epoch=2, batch=12, batches=100),
    "composer, tqdm": Course(epoch=30, batch=150, batches=1251, loss=2.9341),
    "composer, its loss": Course(loss=7.1012),
    "nanoGPT": Course(step=100, loss=2.1),
    "nanoGPT, evaluated": Course(step=2000, loss=1.7648),
    "ultralytics": Course(epoch=2, epochs=100, batch=8, batches=64),
    "timm": Course(epoch=3, batch=50, batches=1251, loss=6.95),
    "torchvision's references": Course(epoch=3, batch=10, batches=1251, loss=6.9012),
    "mmengine, by iterations": Course(step=100, total=20000, loss=2.1),
    "mmengine, by epochs": Course(epoch=1, batch=50, batches=500, loss=2.1),
    "detectron2": Course(step=1019, loss=0.8725),
    "fairseq, simple": Course(step=100, epoch=1, loss=9.1),
    "fairseq, json": Course(step=100, epoch=1, loss=9.1),
    "stable-baselines3": Course(step=2048),
    "stable-baselines3, its loss": Course(loss=8.55),
    "keras": Course(epoch=3, epochs=10, batch=45, batches=100, loss=0.2),
    "keras, verbose=2": Course(epoch=3, epochs=10, batch=100, batches=100, loss=0.2),
    "xgboost": Course(step=12, loss=0.11456),
}


def shown(*lines: str) -> Course:
    """The course after some lines, each seen by a look of its own."""
    printed, course = PrintedCourse(), Course()
    for number, line in enumerate(lines):
        course = printed.look([line], "", float(number))
    return course._replace(step_rate=None)


def test_each_row_is_tried_below() -> None:
    """A new row needs what it shows, and no two rows have one name."""
    assert [row.tool for row in TOOL_LINES] == list(SHOWN)


@pytest.mark.parametrize("label", ["", "[rank0]: ", "2025-03-14T01:02:03.123456Z "])
@pytest.mark.parametrize("row", TOOL_LINES, ids=lambda row: row.tool)
def test_what_a_row_shows(row: ToolLine, label: str) -> None:
    """The example of each row, bare and labelled."""
    if label and row.tool.startswith("stable-baselines3"):
        label = "[rank0]: "
    heading = [_HEADING[row.tool]] if row.tool in _HEADING else []
    assert shown(*heading, label + row.example) == SHOWN[row.tool]


@pytest.mark.parametrize(
    "row", [row for row in TOOL_LINES if row.pattern], ids=lambda row: row.tool
)
def test_a_pattern_reads_its_own_example_alone(row: ToolLine) -> None:
    """No other row's example has its form, and its hint is in the example."""
    assert row.pattern is not None
    cleaned = {one.tool: one.example.replace("\t", "    ") for one in TOOL_LINES}
    assert row.hint in cleaned[row.tool]
    others = [
        tool for tool, text in cleaned.items() if tool != row.tool and row.pattern.match(text)
    ]
    assert not others


@pytest.mark.parametrize(
    "line",
    [
        "[Eval batch=3/10] Eval on eval data",
        "[Eval batch=3/10] Eval on eval data:",
        "\t Eval metrics/eval/LanguageCrossEntropy: 7.1012",
        "eval           Epoch  30:   50%|█████████       | 25/49 [01:43<00:00,  1.95s/ba, metrics/eval/Accuracy=0.7393]",
        "Validation: iteration 5/100",
        "Sanity checking Validation: iteration 2/2",
        "Testing: iteration 5/100",
        "[batch=8, heads=12, seq=1024]",
        "[batch=64] 12.1 ms",
        "|    mean_reward          | 2048        |",
        "|    value_loss           | 61.8        |",
        "|    approx_kl            | 0.0087      |",
        "100/100 - 1s - 6ms/step - accuracy: 0.9000 - loss: 0.2000",
        "[1]    12345 terminated  python train.py",
        "[2]+  Done                    python train.py",
        "[4/4] Building wheel",
        "[3]    https://example.org/a-b:8080",
        "[titan] 2025-03-14 01:02:03,220 - root - INFO - validate step: 10  loss:  7.0999  memory: 44.71GiB(47.07%)",
        "2025-03-14 01:02:03 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 9.1 | num_updates 100",
        "2025/03/14 01:02:03 - mmengine - INFO - Iter(val) [ 50/ 500]    eta: 0:00:10  time: 0.05",
        "Test: [  48/48]  Time: 0.100 (0.145)  Loss:   1.5 (1.6)  Acc@1:  70.0 ( 68.0)",
        "                 Class     Images  Instances      Box(P          R      mAP50  mAP50-95): 50% ━━━━━━────── 2/4 3.0it/s",
        "[cfg] name=a steps=40000 save_every=500 keep=3",
        "caching latents:  45%|####5     | 45/100 [00:04<00:05, 9.11it/s]",
        "Validation DataLoader 0:  50%|#####     | 60/120 [00:01<00:01,  6.0it/s, v_num=3]",
        "{'eval_loss': '3.032', 'eval_runtime': '0.318', 'epoch': '2.5'}",
    ],
)  # fmt: skip
def test_what_is_no_step(line: str) -> None:
    """Evaluations, settings, shells' jobs and other tables beside a tool's own lines."""
    found = shown(line)
    assert (found.step, found.total, found.batch, found.loss) == (None, None, None, None)


def test_a_bar_named_after_training_is_a_place() -> None:
    """`train` is the name of bars of an epoch, and of bars of the whole run."""
    bar = "{}:  40%|████      | 40/100 [00:10<00:12,  4.50it/s, loss=2.31]"
    for name in ("train", "Training", "[train]"):
        assert shown(bar.format(name)) == Course(batch=40, batches=100, loss=2.31)
    assert shown(bar.format("Steps")) == Course(step=40, total=100, loss=2.31)


def test_a_bar_below_a_heading_is_of_that_epoch_until_it_goes_on() -> None:
    """`Epoch 1/3` above a bar without a name."""
    bar = " 40%|████      | {}/300 [00:10<00:12,  4.50it/s, loss=2.31]"
    within = ["Epoch 1/3", bar.format(1), bar.format(90)]
    assert shown(*within) == Course(epoch=1, epochs=3, batch=90, batches=300, loss=2.31)
    again = shown(*within, "Epoch 2/3", bar.format(1), bar.format(5))
    assert again == Course(epoch=2, epochs=3, batch=5, batches=300, loss=2.31)
    goes_on = shown(*within, "Epoch 2/3", bar.format(101))
    assert goes_on == Course(step=101, total=300, epoch=2, epochs=3, loss=2.31)
    # kohya's bar is of the run, and it prints the same headings.
    kohya = "steps:  12%|█▏        | 192/1600 [01:40<12:13,  1.92it/s, avr_loss=0.0912]"
    assert shown("epoch 1/10", kohya).step == 192


@pytest.mark.parametrize(
    "form", ["{} - 0s - 6ms/step - loss: {}", "{} ━━━━━━━━━━━━ 0s 6ms/step - loss: {}"]
)
def test_the_evaluation_of_keras_after_an_epoch(form: str) -> None:
    """`evaluate` with as many batches as the epoch had prints the same, and its loss is another."""
    epoch = ["Epoch 2/2", form.format("20/20", 0.3348)]
    evaluated = [form.format("1/20", 0.1), form.format("20/20", 0.1661)]
    assert shown(*epoch, *evaluated) == Course(epoch=2, epochs=2, batch=20, batches=20, loss=0.3348)


def test_rounds_that_begin_again_are_no_step() -> None:
    """xgboost counts from 0 in each `train`, also where that goes on with an earlier model."""
    rounds = [f"[{number}]\ttrain-rmse:0.5" for number in range(1, 9)]
    assert shown(*rounds).step == 8
    assert shown(*rounds, "[0]\ttrain-rmse:0.4", "[1]\ttrain-rmse:0.4").step is None


def healthy_logs(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each log of a training that went well, or was still under way."""
    with tarfile.open(AFRESH) as archive:
        archive.extractall(folder, filter="data")
    batches = [read_logs(batch) for batch in sorted(folder.iterdir())]
    for log in (log for logs in (read_logs(HEALTHY_LOGS), *batches) for log in logs):
        if log.is_healthy:
            yield f"{log.path.parent.name}/{log.id}", log.path.read_text(errors="replace")


def test_no_false_step_in_a_healthy_log(tmp_path: Path) -> None:
    """Each form of line that raised the step in 283 logs was looked at, and is one of training.

    The file has these forms, with 0 for each number.
    """
    known = set(STEPS_OF_HEALTHY_LOGS.read_text().splitlines())
    count, found = 0, dict[str, str]()
    for name, text in healthy_logs(tmp_path):
        count += 1
        printed, before = PrintedCourse(), None
        for number, line in enumerate(re.split(r"\r\n|\n|\r", text)):
            step = printed.look([line], "", float(number)).step
            if step is not None and step != before:
                found.setdefault(re.sub(r"\d+", "0", line)[:60].rstrip(), f"{name}: {line}")
            before = step
    assert count > 280
    assert {form: line for form, line in found.items() if form not in known} == {}
    assert len(known & found.keys()) > 90


PIECES = ["[batch=", "[epoch=1][batch=1", "loss/train/total: ", "v_num=", " 1%|", "| 1/2 [", "1|1|Loss: ", "s - 1/2 - 1s - 1ms/step - ", "[1]    a-b:", "train-", "micro_step=1/global_step=1", "| total_timesteps "]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_no_line_takes_long(piece: str) -> None:
    """No text makes the patterns back-track."""
    begun = time.process_time()
    for around in (
        "{}",
        "{} RunningAvgSamplesPerSec v_num= |Loss: ",
        " 5%|  | 1/9 [00:01<00:02, v_num={}",
    ):
        read_progress(around.format(piece * (1000 // len(piece))))
    assert time.process_time() - begun < 0.1
