"""A training program with torch preloaded: data loaders of each method, and the same weights."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from standin import Parked, run_cold

TRAIN = """
import json, os, threading
import torch
from torch.utils.data import DataLoader, Dataset


class Numbers(Dataset):
    def __len__(self):
        return 32

    def __getitem__(self, index):
        mark = float(os.environ["SUPERVISOR_ATTEMPT"])
        return torch.full((4,), float(index) + mark)


def main():
    torch.manual_seed(3)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    seen, running = [], [t.name for t in threading.enumerate()]
    # each spawned worker imports torch: one a method shows that it is served
    for method, workers in (("fork", 2), ("spawn", 1), ("forkserver", 1)):
        loader = DataLoader(Numbers(), 8, shuffle=True, num_workers=workers,
                            multiprocessing_context=method)
        for batch in loader:
            optimizer.zero_grad()
            model(batch).pow(2).mean().backward()
            optimizer.step()
            seen.append(batch.sum().item())
    print(json.dumps({
        "seen": seen,
        "weights": [p.tolist() for p in model.parameters()],
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "cuda": torch.cuda.is_initialized(),
        "seed": torch.initial_seed(),
        "dtype": str(torch.get_default_dtype()),
        "python_threads": running,
    }))


if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_training_is_the_same(
    tmp_path: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """Workers of every start method are served, and the weights are equal bit for bit."""
    pytest.importorskip("torch")
    (tmp_path / "train.py").write_text(TRAIN)
    argv = [sys.executable, "train.py"]
    attempt = {**environ, "SUPERVISOR_ATTEMPT": "5"}
    parked = park(argv, environ)
    assert run_cold(argv, attempt, cwd=tmp_path, log=tmp_path / "cold.log") == 0
    said = parked.hear()["parked"]
    assert said["left_out"] == [["the record", "no record of imports yet"]]
    assert said["modules"] > 1000
    assert parked.go(tmp_path / "warm.log", environ=attempt) == {"going": True}
    assert parked.wait() == 0
    cold, warm = ((tmp_path / f"{way}.log").read_text() for way in ("cold", "warm"))
    assert warm == cold
    assert len(json.loads(warm)["seen"]) == 12


@pytest.mark.gpu
@pytest.mark.timeout(400)
def test_a_context_is_held_in_standby(
    tmp_path: Path, environ: dict[str, str], park: Callable[..., Parked]
) -> None:
    """With `standby: cuda` a context exists before go; without it, no device file is open."""
    (tmp_path / "train.py").write_text(
        "import torch\nprint(torch.cuda.is_initialized(), torch.ones(2).cuda().sum().item())\n"
    )
    argv = [sys.executable, "train.py"]
    for standby, text in (("cuda", "True 2.0\n"), (None, "False 2.0\n")):
        parked = park(argv, environ, standby=standby)
        assert "parked" in parked.hear()
        held = any(
            "/dev/nvidia" in str(link.readlink())
            for link in Path(f"/proc/{parked.pid}/fd").iterdir()
        )
        assert held == (standby == "cuda")
        assert parked.go(tmp_path / f"{standby}.log") == {"going": True}
        assert parked.wait() == 0
        assert (tmp_path / f"{standby}.log").read_text() == text
