"""Trains a small model with torch.compile, and prints what the compiler counted and logged.

The words: `step` compiles the optimizer's step, `whole` the whole of a step, `plain` the model.
"""

import json
import logging
import sys

import torch
import torch._dynamo
from torch._dynamo.utils import counters

KINDS = ("graph_breaks", "recompiles")
told: list[str] = []


class Listener(logging.Handler):
    """Keeps the first line of what is logged, without numbers of lines and frames."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = next((kind for kind in KINDS if kind in record.name), record.levelname)
        told.append(f"{kind}: {record.getMessage().splitlines()[0]}")


def main(what: str) -> None:
    torch._logging.set_logs(graph_breaks=True, recompiles=True)
    logging.getLogger("torch").addHandler(Listener())
    for kind in KINDS:
        logging.getLogger(f"torch._dynamo.{kind}").setLevel(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.") and any(kind in name for kind in KINDS):
            logging.getLogger(name).addHandler(Listener())
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    forward = torch.compile(model, backend="aot_eager") if what != "whole" else model
    step = torch.compile(optimizer.step, backend="aot_eager") if what == "step" else optimizer.step

    def train(batch: torch.Tensor) -> None:
        optimizer.zero_grad()
        forward(batch).pow(2).mean().backward()
        step()

    once = torch.compile(train, backend="aot_eager") if what == "whole" else train
    for number in range(6):
        once(torch.randn(3 if number < 4 else 5, 4))
    found = {
        "graphs": counters["stats"]["unique_graphs"],
        "operations": counters["stats"]["calls_captured"],
        "breaks": sum(counters["graph_break"].values()),
        "recompiles": sum(counters["recompiles"].values()),
        "told": sorted(told),
        "weight": sum(float(each.sum()) for each in model.state_dict().values()),
    }
    print(json.dumps(found))


main(sys.argv[1])
