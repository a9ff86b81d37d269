"""A script in the form of nanoGPT's `train.py` (karpathy/nanoGPT, 3adf61e), tiny and on CPU.

The loop, the names, the one file `ckpt.pt` and the arguments `--key=value` are nanoGPT's.
"""

import os
import pydoc_data.topics
import sys
import time
from ast import literal_eval

import torch

out_dir = "out"
eval_interval = 10
log_interval = 1
eval_iters = 2
always_save_checkpoint = True
init_from = "scratch"
batch_size = 8
block_size = 16
n_embd = 32
learning_rate = 1e-2
max_iters = 300
for argument in sys.argv[1:]:  # configurator.py
    assert argument.startswith("--"), argument
    key, _, value = argument[2:].partition("=")
    if key not in globals():
        raise ValueError(f"Unknown config key: {key}")
    try:
        globals()[key] = literal_eval(value)
    except (SyntaxError, ValueError):
        globals()[key] = value

os.makedirs(out_dir, exist_ok=True)
torch.manual_seed(1337)
text = "".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))
data = {"train": torch.tensor(list(text.encode()[:40000])), "val": torch.tensor([9] * 200)}


def get_batch(split):
    """A batch of random places."""
    ix = torch.randint(len(data[split]) - block_size, (batch_size,))
    x = torch.stack([data[split][i : i + block_size] for i in ix])
    y = torch.stack([data[split][i + 1 : i + 1 + block_size] for i in ix])
    return x, y


model_args = {"n_embd": n_embd, "vocab_size": 256}
iter_num = 0
best_val_loss = 1e9
if init_from == "resume":
    print(f"Resuming training from {out_dir}")
    checkpoint = torch.load(os.path.join(out_dir, "ckpt.pt"), map_location="cpu")
    model_args = checkpoint["model_args"]
model = torch.nn.Sequential(
    torch.nn.Embedding(model_args["vocab_size"], model_args["n_embd"]),
    torch.nn.Linear(model_args["n_embd"], model_args["vocab_size"]),
)
optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
if init_from == "resume":
    model.load_state_dict(checkpoint["model"])
    iter_num = checkpoint["iter_num"]
    best_val_loss = checkpoint["best_val_loss"]
    optimizer.load_state_dict(checkpoint["optimizer"])
    checkpoint = None


def loss_of(x, y):
    """The loss of a batch."""
    return torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())


@torch.no_grad()
def estimate_loss():
    """The mean losses of both splits."""
    means = {}
    model.eval()
    for split in ("train", "val"):
        means[split] = torch.stack([loss_of(*get_batch(split)) for _ in range(eval_iters)]).mean()
    model.train()
    return means


x, y = get_batch("train")
t0 = time.time()
while True:
    if iter_num % eval_interval == 0:
        losses = estimate_loss()
        print(f"step {iter_num}: train loss {losses['train']:.4f}, val loss {losses['val']:.4f}")
        if losses["val"] < best_val_loss or always_save_checkpoint:
            best_val_loss = losses["val"]
            if iter_num > 0:
                checkpoint = {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "model_args": model_args,
                    "iter_num": iter_num,
                    "best_val_loss": best_val_loss,
                    "config": {"out_dir": out_dir},
                }
                print(f"saving checkpoint to {out_dir}")
                torch.save(checkpoint, os.path.join(out_dir, "ckpt.pt"))
    loss = loss_of(x, y)
    x, y = get_batch("train")
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    time.sleep(float(os.environ.get("STEP_S", "0")))
    t1 = time.time()
    dt, t0 = t1 - t0, t1
    if iter_num % log_interval == 0:
        print(f"iter {iter_num}: loss {loss.item():.4f}, time {dt * 1000:.2f}ms, mfu -100.00%")
    iter_num += 1
    if iter_num > max_iters:
        break
