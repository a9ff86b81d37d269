"""What a training prints while nothing is wrong: before its first step, at each step, at its end.

Many of these lines have the words of a failure, and all of them are harmless.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SITE = "/opt/envs/train/lib/python3.11/site-packages"


@dataclass(frozen=True, slots=True)
class StepStyle:
    """How one framework prints its steps; a bar is drawn over and over on a single line."""

    line: Callable[[int, int], str]
    is_bar: bool = False

    def steps(self, first: int, last: int, total: int) -> str:
        """The steps from `first` to `last`, without a line end after the last."""
        join = "\r" if self.is_bar else "\n"
        begin = "\r" if self.is_bar else ""
        return begin + join.join(self.line(step, total) for step in range(first, last + 1))


def _bar(step: int, total: int, width: int = 20) -> str:
    filled = step * width // total
    return "█" * filled + " " * (width - filled)


def _clock(step: int, seconds: int) -> str:
    passed = step * seconds
    return f"{passed // 3600 % 24:02d}:{passed // 60 % 60:02d}:{passed % 60:02d}"


def _loss(step: int) -> float:
    return 2.0 + 6.0 / (1 + step / 40)


STEP_STYLES: Sequence[StepStyle] = (
    StepStyle(
        lambda n, of: (
            f"{100 * n // of:3d}%|{_bar(n, of)}| {n}/{of} [{_clock(n, 11)}<3:07:{n % 60:02d},"
            f" 11.{n % 90:02d}s/it]"
        ),
        is_bar=True,
    ),
    StepStyle(
        lambda n, of: (
            f"Epoch 4: {100 * n // of:3d}%|{_bar(n, of, 10)}| {n}/{of} [{_clock(n, 1)}<41:20,"
            f"  2.{n % 90:02d}it/s, v_num=k3x9, train_loss={_loss(n):.3f}]"
        ),
        is_bar=True,
    ),
    StepStyle(
        lambda n, of: f"{n}/{of} ━━━━━━━━━━━━━━━━━━━━ 2:11 44ms/step - loss: {_loss(n):.4f}",
        is_bar=True,
    ),
    StepStyle(
        lambda n, of: (
            f"{{'loss': {_loss(n):.4f}, 'grad_norm': {0.3 + n % 7 / 10:.3f}, 'learning_rate':"
            f" {3e-4 * (1 - n / of):.6e}, 'epoch': {n / of:.2f}}}"
        )
    ),
    StepStyle(
        lambda n, of: f"iter {n}: loss {_loss(n):.4f}, time {201.5 + n % 9:.2f}ms, mfu 38.7%"
    ),
    StepStyle(
        lambda n, of: (
            f"[titan] 2025-04-02 {_clock(n, 7)},{n % 1000:03d} - root - INFO - step: {n:5d}"
            f"  loss: {_loss(n):7.4f}  grad_norm: {0.4 + n % 5 / 10:.4f}  memory: 61.20GiB(77.4%)"
            f"  tps: 6,{n % 1000:03d}  mfu: 39.10%"
        )
    ),
    StepStyle(
        lambda n, of: (
            f" [2025-04-02 {_clock(n, 9)}] iteration {n:8d}/{of:8d} | consumed samples:"
            f" {n * 512:12d} | elapsed time per iteration (ms): 8{n % 1000:03d}.4 | learning rate:"
            f" 2.9E-04 | global batch size:   512 | lm loss: {_loss(n):.6E} | loss"
            " scale: 1.0 | number of skipped iterations:   0 | number of nan iterations:   0 |"
        )
    ),
    StepStyle(
        lambda n, of: (
            f"[2025-04-02 {_clock(n, 6)},{n % 1000:03d}] [INFO] [logging.py:107:log_dist] [Rank 0]"
            f" step={n}, skipped=0, lr=[0.00029], mom=[(0.9, 0.95)]"
        )
    ),
    StepStyle(
        lambda n, of: f"step {n} | loss {_loss(n):.3f} | {40 + n % 9} it/s | eta 2:{n % 60:02d}"
    ),
)

_BEGINNINGS: Sequence[str] = (
    "W0402 02:10:44.512000 7120 torch/distributed/run.py:774] \n"
    "W0402 02:10:44.512000 7120 torch/distributed/run.py:774] "
    "*****************************************\n"
    "W0402 02:10:44.512000 7120 torch/distributed/run.py:774] Setting OMP_NUM_THREADS environment"
    " variable for each process to be 1 in default, to avoid your system being overloaded.\n"
    "W0402 02:10:44.512000 7120 torch/distributed/run.py:774] "
    "*****************************************",
    f"{SITE}/torch/utils/checkpoint.py:85: UserWarning: torch.utils.checkpoint: the use_reentrant"
    " parameter should be passed explicitly.\n  warnings.warn(",
    f"{SITE}/transformers/training_args.py:1611: FutureWarning: `evaluation_strategy` is deprecated"
    " and will fail in version 4.46.\n  warnings.warn(",
    "2025-04-02 02:10:51.118204: E external/local_xla/xla/stream_executor/cuda/cuda_fft.cc:485]"
    " Unable to register cuFFT factory: Attempting to register factory for plugin cuFFT when one"
    " has already been registered",
    "2025-04-02 02:10:51.190334: E external/local_xla/xla/stream_executor/cuda/cuda_dnn.cc:8454]"
    " Unable to register cuDNN factory: Attempting to register factory for plugin cuDNN when one"
    " has already been registered",
    "Some weights of LlamaForSequenceClassification were not initialized from the model checkpoint"
    " at base and are newly initialized: ['score.weight']",
    "huggingface/tokenizers: The current process just got forked, after parallelism has already"
    " been used. Disabling parallelism to avoid deadlocks...",
    "[W402 02:10:58.300112 socket.cpp:759] [c10d] The client socket cannot be initialized to"
    " connect to [node-b04]:29500 (errno: 97 - Address family not supported by protocol).",
    "NCCL version 2.26.2+cuda12.4\n"
    "node-b04:7133:7133 [0] NCCL INFO Bootstrap: Using ib0:10.12.4.4<0>\n"
    "node-b04:7133:7133 [0] NCCL INFO NET/Plugin: Could not find: libnccl-net.so. Using internal"
    " net plugin.\n"
    "node-b04:7133:7190 [0] NCCL INFO Connected all rings, use ring PXN 0 GDR 1\n"
    "node-b04:7133:7190 [0] NCCL INFO ncclCommInitRank comm 0x55d nranks 16 - Init COMPLETE",
    "[rank0]:[W402 02:11:02.744190 ProcessGroupNCCL.cpp:4718] [PG ID 0 PG GUID 0 Rank 0]  using GPU"
    " 0 as device used by this process is currently unknown. This can potentially cause a hang if"
    " this rank to GPU mapping is incorrect.",
    "wandb: Tracking run with wandb version 0.19.9\n"
    "wandb: Run data is saved locally in /data/jobs/7/wandb/run-20250402_021103-k3x9\n"
    "wandb: 🚀 View run at https://wandb.example/team/job/runs/k3x9",
    "WARNING: failed to import flash_attn, falling back to scaled_dot_product_attention",
    "fatal: not a git repository (or any of the parent directories): .git",
    "GPU 0: NVIDIA H100 80GB HBM3, ECC mode enabled, 0 uncorrectable ECC errors",
    "INFO:root:loss_nan_check=True, max_retries=5, timeout=1800s, on_error=raise",
)

_DATA: Sequence[str] = (
    "\n".join(
        f"Loading checkpoint shards: {25 * n:3d}%|{'█' * (n * 2)}{' ' * (8 - n * 2)}| {n}/4"
        f" [00:0{n}<00:0{4 - n},  1.9{n}s/it]"
        for n in range(5)
    ),
    "\r".join(
        f"Map (num_proc=8): {4 * n:3d}%|{'#' * (n * 10 // 25):10}| {n * 3000}/75000"
        f" [00:{n:02d}<00:{25 - n:02d}, 3011.20 examples/s]"
        for n in range(26)
    ),
    "dataset: 812 shards, 0 missing, 0 corrupt; tokenizer vocabulary 128256",
)

_AMIDST: Sequence[str] = (
    "saved checkpoint-{step} in 4.1 s (0 errors)",
    "node-b04:7133:7201 [0] NCCL INFO Channel 00/0 : 3[3] -> 4[4] [send] via NET/IB/0/GDRDMA",
    "eval: perplexity 11.4, 0 of 512 failed",
    "UserWarning: Detected call of `lr_scheduler.step()` before `optimizer.step()`.",
)
# At most one of these in a log: they frighten readers of single lines, and are not that frequent.
_FRIGHTENING: Sequence[str] = (
    "Gradient overflow. Skipping step, loss scaler 0 reducing loss scale to 32768.0",
    "WARNING:urllib3.connectionpool:Retrying (Retry(total=4, connect=None, read=None)) after"
    " connection broken by 'ConnectionResetError(104, 'Connection reset by peer')': /api/runs",
    "wandb: Network error (ReadTimeout), entering retry loop.",
    "[WARNING] bad sample 88112 in shard-0131.tar, skipping it",
    "sample: the program ended with RuntimeError: CUDA out of memory, and he laughed",
)

_ENDS: Sequence[str] = (
    "wandb: \nwandb: Run history:\nwandb:  train/loss █▇▅▄▃▃▂▂▁▁\nwandb:   train/lr ▁▄███▇▆▅▄▂\n"
    "wandb: \nwandb: Run summary:\nwandb:  train/loss 2.0113\n"
    "wandb: train/global_step 9120\nwandb: \n"
    "wandb: You can sync this run to the cloud by running:\n"
    "wandb: wandb sync /data/jobs/7/wandb/offline-run-20250402_021103-k3x9\n"
    "wandb: Find logs at: ./wandb/offline-run-20250402_021103-k3x9/logs",
    "/opt/envs/train/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning:"
    " resource_tracker: There appear to be 9 leaked semaphore objects to clean up at shutdown\n"
    "  warnings.warn('resource_tracker: There appear to be %d '",
    "[rank0]:[W402 05:44:30.118 ProcessGroupNCCL.cpp:1496] Warning: WARNING:"
    " destroy_process_group() was not called before program exit, which can leak"
    " resources. (function operator())",
    "Exception ignored in: <function _ConnectionBase.__del__ at 0x7f1d2c0b1f80>\n"
    "Traceback (most recent call last):\n"
    '  File "/opt/envs/train/lib/python3.11/multiprocessing/connection.py", line 133, in __del__\n'
    "    self._close()\nOSError: [Errno 9] Bad file descriptor",
)


def beginning(choice: random.Random, phase: str) -> str:
    """All lines before the first step: `import` ends before data and model are loaded."""
    wanted = choice.randint(len(_BEGINNINGS) - 5, len(_BEGINNINGS))
    parts = [_BEGINNINGS[n] for n in sorted(choice.sample(range(len(_BEGINNINGS)), wanted))]
    if phase != "import":
        parts += _DATA
    return "\n".join(parts) + "\n"


def training(choice: random.Random, style: StepStyle, first: int, last: int, total: int) -> str:
    """Steps, and a harmless line between them here and there. Ends with a step and a line end."""
    parts, step = [], first
    frightening_at = choice.randint(first, 2 * last)  # in half of the logs there is none
    while step <= last:
        until = min(last, step + choice.randint(40, 160))
        parts.append(style.steps(step, until, total))
        if until < last:
            frightens = step <= frightening_at <= until
            lines = _FRIGHTENING if frightens else _AMIDST
            parts.append(choice.choice(lines).format(step=until))
        step = until + 1
    return "\n".join(parts) + "\n"


def ending(choice: random.Random) -> str:
    """What libraries print at exit, whatever the training ended by; may be nothing."""
    wanted = sorted(choice.sample(range(len(_ENDS)), choice.randint(0, 3)))
    return "".join(_ENDS[n] + "\n" for n in wanted)
