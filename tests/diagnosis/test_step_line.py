"""How training tools print that a step was made, and what only looks like it."""
# ruff: noqa: E501 -- a printed line stays one line

import time

import pytest

from supervisor.diagnosis.line_prefix import split_prefix
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.step_line import read_step
from supervisor.diagnosis.steps_after import StepsAfter, shows_steps

pytestmark = pytest.mark.timeout(60)

# tool, the line, the kind, the number, the epoch
STEPS = [
    ("tqdm", " 12%|#2  | 120/1000 [00:10<01:13, 12.01it/s]", "bar of 1000", 120, 0),
    ("tqdm, hours", "   4%|4    | 449/9000 [5:15:39<6:53:09, 46.16s/it]", "bar of 9000", 449, 0),
    ("tqdm, days", " 40%|####  | 4/10 [1 day, 2:03:04<3 days, 1:02:03, 9000.0s/it]", "bar of 10", 4, 0),
    ("tqdm, days of hours", " 40%|####  | 4/10 [101:03:04<151:02:03, 9000.0s/it]", "bar of 10", 4, 0),
    ("tqdm, slow", " 50%|#####     | 5/10 [00:06<00:06,  1.2s/it]", "bar of 10", 5, 0),
    ("tqdm, its end", "100%|##########| 90/90 [02:11<00:00,  1.46s/it]", "bar of 90", 90, 0),
    ("tqdm, no rate yet", "  1%|          | 1/100 [00:02<?, ?it/s]", "bar of 100", 1, 0),
    ("tqdm, no total", "123it [00:10, 12.01it/s]", "bar of ?", 123, 0),
    ("tqdm, no total, named", "train: 123it [00:10, 12.01it/s, loss=2.1]", "bar of ?", 123, 0),
    ("tqdm, scaled", " 12%|#2   | 1.20k/10.0k [00:10<01:13, 120it/s]", "bar of 10.0k", 1200, 0),
    ("tqdm, postfix", "train:   5%|5  | 45/900 [00:10<01:13, loss=2.31, lr=1e-4]", "bar of 900", 45, 0),
    ("tqdm, its rank", "rank 3:   5%|5  | 45/900 [00:10<01:13, 4.5it/s]", "bar of 900", 45, 0),
    ("tqdm, glyphs", "Epoch 2:  42%|████▏     | 42/100 [00:10<00:14]", "bar of 100", 42, 2),
    ("two drawings", " 1%| | 1/90 [00:01<01:29,  1.0s/it]  2%| | 2/90 [00:02<01:28,  1.0s/it]", "bar of 90", 2, 0),
    ("transformers", "{'loss': 0.6367, 'grad_norm': 0.91, 'learning_rate': 5e-05, 'epoch': 3.16}", "loss", 0, 0),
    ("transformers 5", "{'loss': '0.6367', 'grad_norm': '0.91', 'epoch': '3.16'}", "loss", 0, 0),
    ("transformers, nan", "{'loss': nan, 'grad_norm': nan, 'learning_rate': 0.0, 'epoch': 3.16}", "loss", 0, 0),
    ("trl, axolotl", "{'loss': 1.2, 'memory/max_alloc (GiB)': 30.1, 'tokens_per_second_per_gpu': 812.0, 'epoch': 0.1}", "loss", 0, 0),
    ("a dict with its step", "{'step': 9, 'loss': 1.0}", "step", 9, 0),
    ("JSON", '{"step": 9, "loss": 1.0, "time": 0.2}', "step", 9, 0),
    ("Keras 2", " 12/469 [..............................] - ETA: 3s - loss: 0.2", "bar of 469", 12, 0),
    ("Keras 2", "412/469 [=========================>....] - ETA: 0s - loss: 0.2 - acc: 0.9", "bar of 469", 412, 0),
    ("Keras 2, end", "469/469 [==============================] - 3s 6ms/step - loss: 0.2", "bar of 469", 469, 0),
    ("Keras 3", "\x1b[1m 12/469\x1b[0m \x1b[37m━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[1m3s\x1b[0m 6ms/step - loss: 0.2", "bar of 469", 12, 0),
    ("Keras 3, end", "469/469 ━━━━━━━━━━━━━━━━━━━━ 3s 6ms/step - accuracy: 0.9 - loss: 0.2", "bar of 469", 469, 0),
    ("Keras, no total", "     12/Unknown \x1b[1m3s\x1b[0m 6ms/step - loss: 0.2", "bar of ?", 12, 0),
    ("mmengine", "03/14 01:02:03 - mmengine - INFO - Epoch(train)   [1][  50/ 500]  lr: 1.0000e-04  eta: 1:02:03  time: 0.5  data_time: 0.01  memory: 5000  loss: 2.1", "bar of 500", 50, 1),
    ("mmengine, iterations", "2024/03/14 01:02:03 - mmengine - INFO - Iter(train) [  100/20000]  lr: 1.0e-04  eta: 1:02:03  loss: 2.1", "step", 100, 0),
    ("mmcv", "2024-03-14 01:02:03,123 - mmdet - INFO - Epoch [1][50/500]\tlr: 1.0e-04, eta: 1:02:03, time: 0.5, loss: 2.1", "bar of 500", 50, 1),
    ("mmcv, iterations", "2024-03-14 01:02:03,123 - mmseg - INFO - Iter [50/160000]\tlr: 9.9e-03, eta: 1 day, 1:02:03, loss: 2.1", "step", 50, 0),
    ("Lightning", "Epoch 3:  42%|████▏     | 100/240 [00:10<00:14,  9.9it/s, v_num=0, train_loss=2.310]", "bar of 240", 100, 3),
    ("NeMo 1", "Epoch 0: :   2%|▏         | 20/1000 [00:40<33:00, v_num=, reduced_train_loss=9.1, global_step=19.0]", "bar of 1000", 20, 0),
    ("NeMo 2", "Training epoch 0, iteration 12/999 | lr: 1.9e-06 | global_batch_size: 512 | global_step: 12 | reduced_train_loss: 11.03", "bar of 999", 12, 0),
    ("Lightning, rich", "Epoch 0/9 ━━━━━━━━━━━━━━━━━━━━━━━━ 12/1875 0:00:01 • 0:00:20 95.11it/s v_num: 0.000", "bar of 1875", 12, 0),
    ("Lightning, rich, begun", "Epoch 4/9 ╸━━━━━━━━━━━━━━━━━━━━━━━ 1/1875  0:00:01 • 0:00:20 95.11it/s", "bar of 1875", 1, 4),
    ("rich", "Training ━━━━━━━━━╺━━━━━━━━━━━━━━━  42% 0:00:12", "bar of 100%", 42, 0),
    ("ultralytics", "      1/100      2.3G      1.234      2.34      1.23         45        640:  12%|█▏        | 8/64 [00:02<00:18,  3.0it/s]", "bar of 64", 8, 1),
    ("ultralytics, new", "      2/100      2.3G      1.234      2.34      1.23         45        640: 12% ━─────────── 8/64 3.0it/s 2.1s<18s", "bar of 64", 8, 2),
    ("Megatron", " [2025-03-14 03:39:11] iteration      100/  500000 | consumed samples:       25600 | elapsed time per iteration (ms): 1784.3 | learning rate: 1.5E-04 | lm loss: 2.1E+00 | loss scale: 1.0 | number of skipped iterations:   0 | number of nan iterations:   0 |", "step", 100, 0),
    ("detectron2", "[03/14 01:02:03 d2.utils.events]:  eta: 1:02:03  iter: 1979  total_loss: 0.5  loss_cls: 0.1  time: 0.2  data_time: 0.01  lr: 0.01  max_mem: 2996M", "step", 1979, 0),
    ("fairseq", "2024-03-14 01:02:03 | INFO | train_inner | epoch 001:    100 / 1000 loss=9.1, ppl=548, wps=3000, ups=2, num_updates=100, lr=1e-05", "bar of 1000", 100, 1),
    ("fairseq, JSON", '2024-03-14 01:02:03 | INFO | train_inner | {"epoch": 1, "update": 0.1, "loss": "9.1", "num_updates": "100"}', "step", 100, 0),
    ("fairseq, epoch", "2024-03-14 01:02:03 | INFO | train | epoch 001 | loss 9.1 | nll_loss 8.1 | ppl 274", "epoch", 1, 0),
    ("nanoGPT", "iter 100: loss 2.1000, time 231.55ms, mfu 41.55%", "step", 100, 0),
    ("nanoGPT, evaluated", "step 2000: train loss 1.7648, val loss 1.8857", "step", 2000, 0),
    ("nanochat", "step 00012/21400 (0.06%) | loss: 10.1 | lrm: 1.00 | dt: 330.51ms | tok/sec: 1,586,275", "step", 12, 0),
    ("llm.c", "step   12/19560 | loss 10.9 (+nanz)| norm 15.3 (+nanz)| lr 8.5e-06 | 330.51 ms | 46.1% bf16 MFU | 1586275 tok/s", "step", 12, 0),
    ("maxtext", "completed step: 100, seconds: 1.234, TFLOP/s/device: 150.2, Tokens/s/device: 3000.1, total_weights: 65536, loss: 7.1", "step", 100, 0),
    ("torchtitan", "[titan] 2025-03-14 01:02:03,220 - root - INFO - step:  10  loss:  7.0999  grad_norm:  0.9999  memory: 44.71GiB(47.07%)  tps: 7,199", "step", 10, 0),
    ("torchtune", "1|25|Loss: 1.0512:   2%|▏         | 25/1250 [00:30<24:30,  1.2s/it]", "bar of 1250", 25, 0),
    ("OLMo", "2024-03-14 01:02:03.123 node-1:0 olmo.train:967 INFO [step=100/739328,epoch=0]", "step", 100, 0),
    ("composer", "train          Epoch   2:   12%|███             | 10/80 [00:10<01:13, 1.0ba/s, loss/train=2.3]", "bar of 80", 10, 2),
    ("DeepSpeed", "[2025-03-14 01:02:03,123] [INFO] [logging.py:96:log_dist] [Rank 0] step=10, skipped=0, lr=[0.001], mom=[(0.9, 0.999)]", "step", 10, 0),
    ("DeepSpeed, labelled", "gpu-17: [2025-03-14 01:02:03,123] [INFO] [logging.py:96:log_dist] [Rank 0] step=10, skipped=0, lr=[0.001]", "step", 10, 0),
    ("timm", "Train: 0 [  50/1251 (  4%)]  Loss: 6.94 (6.95)  Time: 0.35s, 2900/s  LR: 1.0e-06  Data: 0.01", "bar of 1251", 50, 0),
    ("MNIST", "Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.300000", "bar of 60000", 640, 1),
    ("DCGAN", "[0/90][100/2502] loss 6.911 lr 0.0002", "bar of 2502", 100, 0),
    ("clu", "logging_writer.py:48] [65100] loss=2.24438", "step", 65100, 0),
    ("ImageNet", "Epoch: [3][ 10/5005]\tTime  0.5 ( 0.6)\tData  0.1 ( 0.2)\tLoss 6.9e+00", "bar of 5005", 10, 3),
    ("diffusers, accelerate", "Steps:  10%|█         | 100/1000 [00:50<07:30,  2.0it/s, lr=1e-5, step_loss=0.1]", "bar of 1000", 100, 0),
    ("TensorFlow", "INFO:tensorflow:loss = 0.5, step = 100 (2.1 sec)", "step", 100, 0),
    ("PaddleNLP", "global step 100, epoch: 1, batch: 100, loss: 0.5, speed: 3.1 step/s", "step", 100, 0),
    ("YOLOX", "epoch: 3/300, iter: 10/1849, gpu mem: 5000Mb, iter_time: 0.3s, total_loss: 9.1", "bar of 1849", 10, 3),
    ("glog", "I1115 16:00:39.451272 140403691364352 trainer.py:501] Training: step 198", "step", 198, 0),
    ("plain", "step 120 | loss 2.1", "step", 120, 0),
    ("plain", "Step 100 | loss", "step", 100, 0),
    ("plain", "step 40", "step", 40, 0),
    ("plain", "global_step=55 lr=1e-4", "step", 55, 0),
    ("plain", "loss 2.31 at 12.1 it/s, step 55", "step", 55, 0),
    ("plain, thousands", "step: 1,234 loss: 2.1", "step", 1234, 0),
    ("plain, work of the loader", "step 7 loss 2.1 data_load 0.01s error: 0.3 load_balancing_loss: 0.1", "step", 7, 0),
    ("plain, epoch", "Epoch 3/10: train_loss=0.51 acc=0.9", "epoch", 3, 0),
    ("plain, batch", "Epoch 3, batch 45/1000, loss 2.1", "bar of 1000", 45, 3),
]  # fmt: skip

NO_STEPS = [
    ("start-up", "Map:  45%|####5     | 40500/90000 [00:04<00:05, 9120.11 examples/s]"),
    ("start-up", "Map (num_proc=8):  45%|####5     | 40500/90000 [00:04<00:05, 9120.11 examples/s]"),
    ("start-up", "Filter:  45%|####5     | 40500/90000 [00:04<00:05, 9120.11 examples/s]"),
    ("start-up", "Loading checkpoint shards:  50%|#####     | 2/4 [00:07<00:07,  1.82s/it]"),
    ("start-up", "Loading pipeline components...:  50%|#####     | 2/4 [00:07<00:07,  1.82s/it]"),
    ("start-up", "Downloading shards:  50%|#####     | 2/4 [00:07<00:07,  1.82s/it]"),
    ("start-up", "Downloading data: 100%|##########| 21.0M/21.0M [00:01<00:00, 20.1MB/s]"),
    ("start-up", "model-00001-of-00004.safetensors:  45%|####5     | 2.1G/4.9G [00:10<00:14, 200MB/s]"),
    ("start-up", "tokenizer.json: 100%|##########| 1.8M/1.8M [00:00<00:00, 9.1MB/s]"),
    ("start-up", "Generating train split: 9000 examples [00:01, 9120.11 examples/s]"),
    ("start-up", "Generating train split:  45%|####5     | 450/1000 [00:01<00:01, 450.0 examples/s]"),
    ("start-up", "Tokenizing train dataset:  45%|####5     | 450/1000 [00:01<00:01, 450.0it/s]"),
    ("start-up", "Tokenizing:  45%|####5     | 450/1000 [00:01<00:01, 450.0it/s]"),
    ("start-up", "Resolving data files: 100%|##########| 703/703 [00:01<00:00, 650.0it/s]"),
    ("start-up", "Fetching 12 files:  50%|#####     | 6/12 [00:01<00:01,  6.0it/s]"),
    ("start-up", "Running tokenizer on train dataset:  50%|#####     | 6/12 [00:01<00:01,  6.0it/s]"),
    ("start-up", "Packing train dataset:  50%|#####     | 6000/12000 [00:01<00:01, 6000.0it/s]"),
    ("start-up", "train: Scanning /data/coco8/labels... 4 images, 0 corrupt: 100%|##########| 4/4 [00:00<00:00, 99.1it/s]"),
    ("start-up", "Capturing CUDA graph shapes:  50%|#####     | 6/12 [00:01<00:01,  6.0it/s]"),
    ("start-up", "Sanity Checking DataLoader 0:  50%|#####     | 1/2 [00:00<00:00,  6.0it/s]"),
    ("start-up", "Sanity Checking ━━━━━━━━━━━━━━━━━━━━━━━━ 1/2 0:00:01 • 0:00:01 6.0it/s"),
    ("start-up", "  0%|          | 0/703 [00:00<?, ?it/s]"),
    ("start-up", "Epoch 0:   0%|          | 0/703 [00:00<?, ?it/s]"),
    ("start-up", "0it [00:00, ?it/s]"),
    ("start-up", "Step 1: Downloading data"),
    ("start-up", "  Gradient Accumulation steps = 4"),
    ("start-up", "  Total optimization steps = 1,000"),
    ("start-up", "  Num Epochs = 3"),
    ("start-up", "Epoch 1"),
    ("start-up", "step_size: 10"),
    ("start-up", "max_steps: 1000"),
    ("start-up", "resuming from step 120"),
    ("start-up", "Resuming training from epoch 3, global step 120, loss 2.1"),
    ("start-up", "loaded checkpoint '/ckpt/step_1000.pt' (step 1000)"),
    ("start-up", "Starting training from iteration 0"),
    ("start-up", "   ━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 10.0/10.0 MB 20.1 MB/s eta 0:00:00"),
    ("start-up", "   ━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 3/5 [numpy]"),
    ("start-up", "Namespace(batch_size=8, epoch=3, lr=0.1, step=5)"),
    ("start-up", "config: {'epoch': 3, 'lr': 0.1}"),
    ("start-up", "TrainingArguments(step=10, lr=0.1)"),
    ("start-up", "[1/4] /usr/bin/nvcc -c kernel.cu -o kernel.o"),
    ("start-up", "Step 1/5 : FROM python"),
    ("start-up", "  Continuing training from global step 500"),
    ("start-up", "srun: step:123.0 tasks 0-7: running"),
    ("start-up", "Processed prompts:  50%|#####     | 4/8 [00:01<00:01, 4.0it/s, est. speed]"),
    ("evaluation", "Validation DataLoader 0:  50%|#####     | 6/12 [00:01<00:01,  6.0it/s]"),
    ("evaluation", "Validation ━━━━━━━━━━━━━━━━━━━━━━━━ 6/12 0:00:01 • 0:00:01 6.0it/s"),
    ("evaluation", "Evaluating:  50%|#####     | 6/12 [00:01<00:01,  6.0it/s]"),
    ("evaluation", "Epoch 3 evaluating:  50%|#####     | 6/12 [00:01<00:01,  6.0it/s]"),
    ("evaluation", "Testing DataLoader 0:  50%|#####     | 6/12 [00:01<00:01,  6.0it/s]"),
    ("evaluation", "                 Class     Images  Instances      Box(P          R      mAP50  mAP50-95):  50%|#####     | 4/8 [00:01<00:01,  4.0it/s]"),
    ("evaluation", "2024/03/14 01:02:03 - mmengine - INFO - Epoch(val) [1][ 50/ 500]    eta: 0:00:10  time: 0.05"),
    ("evaluation", "2024/03/14 01:02:03 - mmengine - INFO - Iter(test) [ 50/ 500]    eta: 0:00:10  time: 0.05"),
    ("evaluation", "Test: [  10/50]  Time: 0.350 (0.4)  Loss:  6.9 (6.9)  Acc@1:  0.1"),
    ("evaluation", "{'eval_loss': 2.3, 'eval_runtime': 10.1, 'eval_samples_per_second': 99.0, 'epoch': 3.0}"),
    ("evaluation", "2024-03-14 01:02:03 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 9.1"),
    ("evaluation", "Validation step 10/100 loss 2.1"),
    ("summary", "wandb: train/global_step 1200"),
    ("summary", "wandb:           step 1200"),
    ("summary", "COMET INFO:     train/step [100] : (1, 1200)"),
    ("summary", "COMET INFO:     step [100]       : (1, 1200)"),
    ("summary", "{'train_runtime': 512.1, 'train_samples_per_second': 9.1, 'train_steps_per_second': 1.1, 'train_loss': 2.1, 'epoch': 3.0}"),
    ("summary", "  epoch                    =        3.0"),
    ("summary", "  train_loss               =     2.1001"),
    ("error", "save failed at step 120"),
    ("error", "RuntimeError: bad shape at step 3"),
    ("error", "Loss became infinite or NaN at iteration=1002!"),
    ("error", "step 55 failed: CUDA error: unspecified launch failure"),
    ("error", "[rank3]: training failed at step 55, loss=2.1"),
    ("error", "Traceback (most recent call last):  step 3"),
    ("error", " 12%|#2  | 120/1000 [00:10<01:13, 12.01it/s]Traceback (most recent call last):"),
    ("error", "step 100: loss is nan, stopping"),
    ("error", "AssertionError: Rank 3: found NaN in local grad norm, iteration 5"),
    ("error", "slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2025-01-01T00:00:00 ***"),
    ("saving", "[2025-03-14 01:02:03,123] [INFO] [Torch] Saving ckpt/global_step1000/mp_rank_00_model_states.pt..."),
    ("saving", "saving checkpoint at iteration    1000 to /ckpt in torch format"),
    ("saving", "  successfully saved checkpoint from iteration    1000 to /ckpt"),
    ("saving", "Saved checkpoint to /ckpt/step-1000.pt"),
    ("prose", "hello"),
    ("prose", "step time 0.12s"),
    ("prose", "step 250ms"),
    ("prose", "see it 3 times"),
    ("prose", "[rank3]: hello"),
    ("prose", "[default12]: hello"),
    ("prose", "libtorch 3/4 [abc]"),
]  # fmt: skip


def of(line: str) -> object:
    """The mark in a line as it stands in a log."""
    return read_step(split_prefix(clean(line)).body)


@pytest.mark.parametrize("label", ["", "[rank3]: ", "0: ", "2025-03-14T01:02:03.123456Z "])
@pytest.mark.parametrize(("tool", "line", "kind", "number", "epoch"), STEPS)
def test_a_step_of_this_tool(
    tool: str, line: str, kind: str, number: int, epoch: int, label: str
) -> None:
    """Each tool's own words, bare and labelled."""
    mark = read_step(split_prefix(clean(label + line)).body)
    assert mark is not None, tool
    assert (mark.kind, mark.number, mark.epoch) == (kind, number, epoch)


@pytest.mark.parametrize("label", ["", "[rank3]: ", "0: ", "2025-03-14T01:02:03.123456Z "])
@pytest.mark.parametrize(("why", "line"), NO_STEPS)
def test_no_step(why: str, line: str, label: str) -> None:
    """Start-up, evaluation, summaries, errors and saves make no step."""
    assert of(label + line) is None, why


@pytest.mark.parametrize(
    ("line", "is_enough"),
    [
        ("step 40", False),
        ("step 40 | loss 2.1", True),
        (" 45%|####5     | 450/1000 [00:00<?, ?it/s]", False),
        (" 45%|####5     | 451/1000 [00:01<09:09,  1.0s/it]", True),
        ("{'loss': 2.1, 'epoch': 0.1}", True),
        ("Epoch 2/10", False),
    ],
)
def test_one_line_proves_a_step_if_it_measures(line: str, is_enough: bool) -> None:
    """A bare number may be where a run was resumed; a loss or a rate needs a step."""
    assert shows_steps([line]) is is_enough


def test_headers_of_epochs_prove_one_from_the_second_on() -> None:
    """Keras prints `Epoch 1/10` before the epoch's first step."""
    assert not shows_steps(["Epoch 1/10", "KeyError: 'x'"])
    assert shows_steps(["Epoch 1/10", "hello", "Epoch 2/10"])


def test_a_bar_that_begins_anew_counts() -> None:
    """The same number in the next epoch is another step."""
    bar = "Epoch {}:  42%|████▏     | {}/240 [00:10<00:14,  9.9it/s]"
    lines = [bar.format(3, 100), "OSError: x", bar.format(4, 100), bar.format(4, 101)]
    assert StepsAfter(lines, 1).count(1) == 1
    assert StepsAfter([bar.format(3, 100), "OSError: x", bar.format(3, 100)], 1).count(1) == 0


def test_start_up_after_a_traceback_refutes_nothing() -> None:
    """Bars of work other than training."""
    lines = ["OSError: x", *(line for why, line in NO_STEPS if why == "start-up")]
    assert StepsAfter(lines, 0).count(0) == 0
    assert not shows_steps(lines)


PIECES = [
    "━", "━━━ ", "1/", "1/2 ", "1/2 [", "[00:0", "[00:01<", "12:", "epoch 1 ", "epoch [1][", "step 1 ",
    "it 1", "loss ", "'loss': ", "a: ", "a=1 ", "[rank1]: ", "1: ", "(pid=1) ", "(a", "a-1 | ", "a.",
    "Mar 14 01:02:03 ", "2025-03-14 01:02:03 ", "[pod/", " ", "worker-", "at ", "num ", "9", "=", "|",
    "[repeated 1x across cluster] (", "node1: ", "train 1 [", "Epoch 1: ",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("around", ["{}", "{}step 1 loss 2.0{}", " 5%|  | 1/9 [00:01<00:02{}"])
def test_no_line_takes_long(piece: str, around: str) -> None:
    """No text makes the patterns back-track."""
    many = piece * (1000 // len(piece))
    text = clean(around.format(*[many] * around.count("{}")))
    begun = time.process_time()
    read_step(split_prefix(text).body)
    assert time.process_time() - begun < 0.1
