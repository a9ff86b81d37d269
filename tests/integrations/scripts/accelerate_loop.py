"""A loop with accelerate, of the shape of diffusers' training examples (train_text_to_image.py).

It saves `checkpoint-N` by `save_state` and resumes as those do: only the last part of the path
counts, and the batches of the epoch that were seen are not skipped. Inside an epoch of five batches
it thus goes on with other batches and other random numbers; between epochs all is as before.
"""

import argparse
import os
import shutil

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from faults import fault


def parsed():
    """Return the options, by the examples' names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output_dir", default="out")
    parser.add_argument("--max_train_steps", type=int, default=40)
    parser.add_argument("--checkpointing_steps", type=int, default=5)
    parser.add_argument("--checkpoints_total_limit", type=int)
    parser.add_argument("--resume_from_checkpoint")
    return parser.parse_args()


class Denoiser(torch.nn.Module):
    """A small network with dropout, so that the random state counts."""

    def __init__(self):
        super().__init__()
        self.network = torch.nn.Sequential(
            torch.nn.Linear(8, 32), torch.nn.Dropout(0.3), torch.nn.ReLU(), torch.nn.Linear(32, 8)
        )

    def forward(self, rows):
        return self.network(rows)


def resumed_at(args, accelerator):
    """Load the checkpoint that is asked for; the step it is of."""
    if not args.resume_from_checkpoint:
        return 0
    if args.resume_from_checkpoint != "latest":
        path = os.path.basename(args.resume_from_checkpoint)
    else:
        folders = [one for one in os.listdir(args.output_dir) if one.startswith("checkpoint")]
        folders = sorted(folders, key=lambda one: int(one.split("-")[1]))
        path = folders[-1] if folders else None
    if path is None:
        accelerator.print(f"{args.resume_from_checkpoint} does not exist. Starting a new training.")
        return 0
    accelerator.print(f"Resuming from checkpoint {path}")
    accelerator.load_state(os.path.join(args.output_dir, path))
    return int(path.split("-")[1])


def forget_old(args):
    """Remove the oldest checkpoints, so that there is room for one more."""
    folders = [one for one in os.listdir(args.output_dir) if one.startswith("checkpoint")]
    folders = sorted(folders, key=lambda one: int(one.split("-")[1]))
    for folder in folders[: len(folders) - args.checkpoints_total_limit + 1]:
        shutil.rmtree(os.path.join(args.output_dir, folder))


def main():
    """Train, and write the weights."""
    args = parsed()
    accelerator = Accelerator(cpu=True, log_with=os.environ.get("TRACKER"))
    set_seed(1)
    if accelerator.is_main_process:
        os.makedirs(args.output_dir, exist_ok=True)
    accelerator.wait_for_everyone()
    model = Denoiser()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, args.max_train_steps)
    rows = torch.randn(20, 8, generator=torch.Generator().manual_seed(1))
    loader = torch.utils.data.DataLoader(rows, batch_size=4, shuffle=True)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    if "TRACKER" in os.environ:
        accelerator.init_trackers("loops")
    step = resumed_at(args, accelerator)
    for _ in range(step // len(loader), args.max_train_steps):
        for rows in loader:
            fault("step", step + 1)
            noise = torch.randn_like(rows)
            loss = torch.nn.functional.mse_loss(model(rows + noise), noise)
            accelerator.backward(loss)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step += 1
            if step % args.checkpointing_steps == 0:
                if accelerator.is_main_process and args.checkpoints_total_limit is not None:
                    forget_old(args)
                accelerator.save_state(os.path.join(args.output_dir, f"checkpoint-{step}"))
            accelerator.log({"loss": loss.item()}, step=step)
            accelerator.print(f"step {step} loss {loss.item():.4f}", flush=True)
            if step >= args.max_train_steps:
                break
        if step >= args.max_train_steps:
            break
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        torch.save(accelerator.unwrap_model(model).state_dict(), f"{args.output_dir}/final.pt")
    accelerator.end_training()


if __name__ == "__main__":
    main()
