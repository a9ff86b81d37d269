"""How each tool prints its progress: one row a tool, with a line that the tool really prints.

Most lines have words that many tools share (`step`, `iter`, `epoch`, bars), and the general
patterns read them. A row has a pattern only where these cannot read the tool's line, or would
take a count within an epoch for a step of the run.

The lines are for what `status` shows; nothing may be decided by them.
"""

import re
from typing import NamedTuple

_DECIMAL = r"[-+]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:e[-+]?\d{1,4})?"


class ToolLine(NamedTuple):
    """A tool's line of progress; clean text without tabs, stamps and labels is matched.

    `pattern` matches the line's beginning. Its groups are `step`, `total`, `epoch`, `batch`,
    `batches` and `loss`. `hint` is a text that each such line has: most lines of a log then need no
    pattern. `is_keras`: an evaluation prints the same. `counts_whole_run`: the step is certainly
    not one of an epoch.
    """

    tool: str
    example: str
    source: str
    pattern: re.Pattern[str] | None = None
    hint: str = ""
    is_keras: bool = False
    counts_whole_run: bool = False


TOOL_LINES = (
    ToolLine(
        "transformers, TRL, axolotl, LLaMA-Factory",
        "{'loss': '1.358', 'grad_norm': '0.91', 'learning_rate': '4.9e-05', 'epoch': '0.12'}",
        "transformers 5.24, trainer_callback.py (ProgressCallback); a run",
    ),
    ToolLine(
        "tqdm, accelerate's examples",
        " 12%|█▏        | 120/1000 [00:10<01:13, 12.01it/s]",
        "tqdm 4.70.1, std.py (format_meter); a run",
    ),
    ToolLine(
        "diffusers' scripts",
        "Steps:  10%|█         | 100/1000 [00:50<07:30,  2.00it/s, lr=1e-5, step_loss=0.1]",
        "diffusers, examples/text_to_image/train_text_to_image.py",
    ),
    ToolLine(
        "kohya",
        "steps:  12%|█▏        | 192/1600 [01:40<12:13,  1.92it/s, avr_loss=0.0912]",
        "kohya-ss/sd-scripts, train_network.py (progress_bar.set_postfix)",
    ),
    ToolLine(
        "Lightning, tqdm",
        "Epoch 3:  45%|████▌     | 45/100 [00:10<00:12,  4.50it/s, v_num=0, train_loss=2.310]",
        "lightning 2.6.6, callbacks/progress/tqdm_progress.py; a run",
    ),
    ToolLine(
        "Lightning, tqdm, where the name stands on another line",
        " 45%|████▌     | 45/100 [00:10<00:12,  4.50it/s, v_num=0, train_loss=2.310]",
        "lightning 2.6.6, callbacks/progress/progress_bar.py (get_standard_metrics: v_num)",
        re.compile(
            r" {0,3}\d{1,3}%\|[^\[]{0,200}\| (?P<batch>\d{1,12})/(?P<batches>\d{1,12}) \["
            r"[^\]]{0,100}\bv_num="
            rf"(?:[^\]]{{0,300}}?\btrain_loss(?:_step)?=(?P<loss>{_DECIMAL}))?"
        ),
        "v_num=",
    ),
    ToolLine(
        "Lightning, rich",
        "Epoch 3/9 ━━━━━━━━━━━━━━ 45/100 0:00:01 • 0:00:20 95.11it/s v_num: 0.000 train_loss: 1.2",
        "lightning 2.6.6, callbacks/progress/rich_progress.py",
    ),
    ToolLine(
        "NeMo 1",
        "Epoch 0: :   2%|▏   | 20/1000 [00:40<33:00, v_num=, reduced_train_loss=9.1,"
        " global_step=19.0]",
        "NVIDIA/NeMo#8387, a log",
    ),
    ToolLine(
        "NeMo 2",
        "Training epoch 0, iteration 9/999 | lr: 1e-05 | global_batch_size: 32 | global_step: 9 |"
        " reduced_train_loss: 7.1 | train_step_timing in s: 1.5 | consumed_samples: 320",
        "NVIDIA/NeMo 2.4, lightning/pytorch/callbacks/progress_printer.py",
    ),
    ToolLine(
        "Megatron-LM",
        " [2025-03-14 03:39:11] iteration      100/  500000 | consumed samples:        25600 |"
        " elapsed time per iteration (ms): 221.1 | learning rate: 1.000000E-05 |"
        " global batch size:   256 | lm loss: 2.118420E+00 | loss scale: 1.0 | grad norm: 1.1 |"
        " number of skipped iterations:   0 | number of nan iterations:   0 |",
        "NVIDIA/Megatron-LM, megatron/training/training.py (training_log)",
    ),
    ToolLine(
        "DeepSpeed",
        "[2025-03-14 01:02:03,123] [INFO] [logging.py:128:log_dist] [Rank 0] step=10, skipped=0,"
        " lr=[1e-05], mom=[(0.9, 0.95)]",
        "DeepSpeed 0.19.8, runtime/engine.py (_report_progress)",
    ),
    ToolLine(
        "DeepSpeed, throughput",
        "[2025-03-14 01:02:03,123] [INFO] [timer.py:264:stop] epoch=0/micro_step=80/global_step=10,"
        " RunningAvgSamplesPerSec=12.3, CurrSamplesPerSec=12.4, MemAllocated=1.0GB,"
        " MaxMemAllocated=2.0GB",
        "DeepSpeed 0.19.8, utils/timer.py (ThroughputTimer.stop)",
        re.compile(
            r".{0,120}?\bmicro_step=\d{1,12}/global_step=(?P<step>\d{1,12}), RunningAvgSamples"
        ),
        "RunningAvgSamplesPerSec",
        counts_whole_run=True,
    ),
    ToolLine(
        "torchtitan",
        "[rank0]:[titan] 2025-03-14 01:02:03,123 - root - INFO - \x1b[31mstep: 10  \x1b[32mloss: "
        " 7.12340  \x1b[33mgrad_norm:  1.2345  \x1b[36mmemory:  1.23GiB(1.30%)  \x1b[34mtps:"
        " 1,234  \x1b[36mtflops: 12.34  \x1b[35mmfu: 1.23%\x1b[39m",
        "pytorch/torchtitan, components/metrics.py (MetricsProcessor.log)",
    ),
    ToolLine(
        "torchtune",
        "1|25|Loss: 1.0512:   2%|▏         | 25/1250 [00:30<24:30,  1.20s/it]",
        "pytorch/torchtune, recipes/full_finetune_single_device.py (pbar.set_description)",
        # The bar is of one epoch. Recipes differ in what the middle number counts.
        re.compile(
            rf"(?P<epoch>\d{{1,6}})\|\d{{1,12}}\|Loss: (?P<loss>{_DECIMAL}|nan):.{{1,200}}"
            r"\| (?P<batch>\d{1,12})/(?P<batches>\d{1,12}) \["
        ),
        "|Loss: ",
    ),
    ToolLine(
        "composer, by batches",
        "[batch=20/3200]:",
        "mosaicml/composer, loggers/console_logger.py (_get_progress_string)",
        re.compile(r"\[batch=(?P<step>\d{1,12})/(?P<total>\d{1,12})\](?::| |$)"),
        "[batch=",
    ),
    ToolLine(
        "composer, by epochs",
        "[epoch=2][batch=12/100]:",
        "mosaicml/composer, loggers/console_logger.py (_get_progress_string)",
        re.compile(
            r"\[epoch=(?P<epoch>\d{1,9})\]\[batch=(?P<batch>\d{1,12})(?:/(?P<batches>\d{1,12}))?\]"
        ),
        "[epoch=",
    ),
    ToolLine(
        "composer, tqdm",
        "train          Epoch  30:   12%|███             | 150/1251 [09:16<1:07:54,  3.66ba/s,"
        " loss/train/total=2.9341]",
        "mosaicml/composer, loggers/progress_bar_logger.py",
    ),
    ToolLine(
        "composer, its loss",
        "\t Train loss/train/total: 7.1012",
        "mosaicml/composer, loggers/console_logger.py (log_to_console)",
        re.compile(rf" {{1,8}}Train loss/train/total: (?P<loss>{_DECIMAL}|nan)$"),
        "loss/train/total",
    ),
    ToolLine(
        "nanoGPT",
        "iter 100: loss 2.1000, time 231.55ms, mfu 41.55%",
        "karpathy/nanoGPT, train.py",
    ),
    ToolLine(
        "nanoGPT, evaluated",
        "step 2000: train loss 1.7648, val loss 1.8857",
        "karpathy/nanoGPT, train.py",
    ),
    ToolLine(
        "ultralytics",
        "\x1b[K      2/100      2.3G      1.234      2.34      1.23         45        640: 12%"
        " ━─────────── 8/64 3.0it/s 2.1s<18s",
        "ultralytics 8.4.190, engine/trainer.py, utils/tqdm.py; a run",
    ),
    ToolLine(
        "timm",
        "Train: 3 [  50/1251 (  4%)]  Loss: 6.95 (6.97)  Time: 0.213s, 1203.15/s  (0.249s,"
        " 1026.10/s)  LR: 1.000e-05  Data: 0.010 (0.030)",
        "huggingface/pytorch-image-models, train.py (train_one_epoch)",
    ),
    ToolLine(
        "torchvision's references",
        "Epoch: [3]  [  10/1251]  eta: 0:10:00  lr: 0.1  img/s: 120  loss: 6.9012 (7.0)  acc1: 0.0"
        " (0.1)  time: 0.2  data: 0.0  max mem: 4000",
        "pytorch/vision, references/classification/utils.py (MetricLogger.log_every)",
    ),
    ToolLine(
        "mmengine, by iterations",
        "2025/03/14 01:02:03 - mmengine - INFO - Iter(train) [  100/20000]  base_lr: 1.0000e-04"
        " lr: 1.0000e-04  eta: 1:02:03  time: 0.2  data_time: 0.0  memory: 100  loss: 2.1000",
        "open-mmlab/mmengine, runner/log_processor.py",
    ),
    ToolLine(
        "mmengine, by epochs",
        "2025/03/14 01:02:03 - mmengine - INFO - Epoch(train)   [1][  50/ 500]  lr: 1.0000e-04 "
        " eta: 1:02:03  time: 0.2  data_time: 0.0  memory: 100  loss: 2.1000",
        "open-mmlab/mmengine, runner/log_processor.py",
    ),
    ToolLine(
        "detectron2",
        "[03/14 01:02:03 d2.utils.events]:  eta: 2:01:33  iter: 1019  total_loss: 0.8725  loss_cls:"
        " 0.2113    time: 0.4512  last_time: 0.4455  data_time: 0.0100   lr: 0.02  max_mem: 4321M",
        "facebookresearch/detectron2, utils/events.py (CommonMetricPrinter)",
    ),
    ToolLine(
        "fairseq, simple",
        "2025-03-14 01:02:03 | INFO | train_inner | epoch 001:    100 / 1000 loss=9.1, ppl=548,"
        " wps=3000, ups=5, num_updates=100, lr=1e-05, gnorm=2.1, wall=30",
        "facebookresearch/fairseq, logging/progress_bar.py (SimpleProgressBar)",
    ),
    ToolLine(
        "fairseq, json",
        '2025-03-14 01:02:03 | INFO | train_inner | {"epoch": 1, "update": 0.215, "loss": "9.1",'
        ' "ppl": "548.1", "num_updates": "100", "lr": "1e-05"}',
        "facebookresearch/fairseq, logging/progress_bar.py (JsonProgressBar)",
    ),
    ToolLine(
        "stable-baselines3",
        "|    total_timesteps      | 2048        |",
        "stable-baselines3 2.9.2, common/logger.py (HumanOutputFormat); a run",
        re.compile(r"\| {1,9}total_timesteps {1,40}\| (?P<step>\d{1,15}) {0,40}\|$"),
        "total_timesteps",
        counts_whole_run=True,
    ),
    ToolLine(
        "stable-baselines3, its loss",
        "|    loss                 | 8.55        |",
        "stable-baselines3 2.9.2, common/logger.py (HumanOutputFormat); a run",
        re.compile(rf"\| {{1,9}}loss {{1,40}}\| (?P<loss>{_DECIMAL}|nan) {{0,40}}\|$"),
        "|    loss",
    ),
    ToolLine(
        "keras",
        "45/100 ━━━━━━━━━━━━━━━━━━━━ 3s 6ms/step - accuracy: 0.9 - loss: 0.2",
        "keras 3.15.1, utils/progbar.py; a run",
    ),
    ToolLine(
        "keras, verbose=2",
        "100/100 - 1s - 6ms/step - accuracy: 0.9000 - loss: 0.2000",
        "keras 3.15.1, utils/progbar.py",
        re.compile(
            r"(?P<batch>\d{1,12})/(?P<batches>\d{1,12}) - \d{1,9}s - \S{1,20}/(?:step|epoch) - "
            rf"(?:.{{0,300}}? - )?loss: (?P<loss>{_DECIMAL}|nan)\b"
        ),
        "s - ",
        is_keras=True,
    ),
    ToolLine(
        "xgboost",
        "[12]\ttrain-rmse:0.11456\teval-rmse:0.11601",
        "xgboost 3.2.0, callback.py (EvaluationMonitor); a run",
        # The folds of `cv` print `0.21158+0.01152`.
        re.compile(
            r"\[(?P<step>\d{1,9})\] {4}(?:[^\s:]{0,60}train[^\s:]{0,20}-(?:m?logloss|rmse):"
            rf"(?P<loss>{_DECIMAL})|[^\s:]{{1,80}}-[^\s:]{{1,40}}:-?\d)"
        ),
        "]    ",
    ),
)  # fmt: skip
_READ_BY_PATTERN = tuple((row, row.pattern) for row in TOOL_LINES if row.pattern is not None)


def find_tool_line(text: str) -> tuple[ToolLine, re.Match[str]] | None:
    """The row whose pattern reads a line, and what it found; None if the line is of no such row."""
    for row, pattern in _READ_BY_PATTERN:
        if row.hint in text:
            found = pattern.match(text)
            if found is not None:
                return row, found
    return None
