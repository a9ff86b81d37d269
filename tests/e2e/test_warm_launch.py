"""The next attempt runs in the parked interpreter: like a fresh start, only sooner."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.system.identity import start_ticks
from tests.e2e.conftest import Supervised

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("holding.py")
# A venv has no user site-packages, which is where this test installs its package.
PYTHON = Path(sys.base_prefix) / "bin" / "python3"


def install(run: Supervised, value: str, at: int) -> Path:
    """Install `heavy` for the user of this run, with a given modification time."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = run.folder / ".local" / "lib" / version / "site-packages"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "heavy.py"
    path.write_text(f"VALUE = {value!r}\n")
    os.utime(path, (at, at))
    return path


def configure(run: Supervised, *words: str, **more: Any) -> None:
    """A run of the holding script."""
    install(run, "the first", 1)
    run.configure(
        command=[str(PYTHON), str(SCRIPT), *words],
        checkpoints={"directory": "saves"},
        env={"HOME": run.folder, "PYTHONPATH": ROOT},
        **more,
    )


def parked(run: Supervised, attempt: int) -> int:
    """Wait until an attempt holds and the next is parked; the parked interpreter's pid."""

    def is_so() -> Any:
        status = run.status
        known = (status.get("launch") or {}).get("parked") or {}
        holds = status.get("attempt") == attempt and status.get("step") == 10 * attempt
        return holds and known.get("state") == "waiting" and known

    known = run.wait(is_so)
    assert {"supervisor", "heavy"} <= set(known["preloaded"])
    assert known["rss_bytes"] > 1 << 20
    return int(known["pid"])


def refused(run: Supervised) -> str:
    """Wait until the status says why no interpreter is parked; the reason."""

    def reason() -> Any:
        return ((run.status.get("launch") or {}).get("parked") or {}).get("reason")

    return str(run.wait(reason))


def kill(run: Supervised, attempt: int) -> dict[str, Any]:
    """SIGKILL the trainer; the entry of the next attempt's start."""
    os.kill(run.status["pids"]["trainer"], signal.SIGKILL)
    run.wait(lambda: len(run.entries("attempt_started")) == attempt + 1)
    return run.entries("attempt_started")[-1]


def test_a_killed_script_comes_back_in_the_parked_interpreter(run: Supervised) -> None:
    """The script comes back warm, cold after an installed file has changed, then warm again."""
    configure(run)
    process = run.start()
    spare = parked(run, 1)
    assert run.entries("attempt_started")[0]["why_cold"] == "nothing is parked yet"
    entry = kill(run, 1)
    assert (entry["launch"], entry["pid"], entry["why_cold"]) == ("warm", spare, None)
    moments = [entry["moments"][name] for name in ("exited", "chosen", "asked", "started")]
    assert moments == sorted(moments)

    spare = parked(run, 2)
    path = install(run, "the second", 2)
    entry = kill(run, 2)
    assert (entry["launch"], entry["why_cold"]) == ("cold", f"{path} has changed")
    assert start_ticks(spare) is None
    run.wait(lambda: "attempt 3 with the second" in run.log)
    said = run.command("status").stdout
    assert "cold" in said

    spare = parked(run, 3)
    shown = run.status["launch"]
    assert (shown["last"], shown["cold_reason"]) == ("cold", f"{path} has changed")
    assert "the next interpreter is parked: " in " ".join(run.command("status").stdout.split())
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: run.status["pids"]["daemon"] != daemon)
    assert parked(run, 3) == spare
    entry = kill(run, 3)
    assert (entry["launch"], entry["pid"]) == ("warm", spare)
    assert "Attempt 4 started warm from step-30.safetensors" in " ".join(
        run.command("events").stdout.split()
    )

    spare = parked(run, 4)
    (run.folder / "on").touch()
    assert run.finish() == 0
    assert process.returncode == 0
    assert "total 500" in run.log
    assert start_ticks(spare) is None


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("threads", "the program sets OMP_NUM_THREADS itself before its imports"),
        ("stub", "the program puts accelerator into sys.modules before it imports heavy"),
    ],
)
def test_what_the_script_changes_before_its_imports_is_cold(
    run: Supervised, word: str, reason: str
) -> None:
    """The parked imports would have missed the script's change, so the launch is cold."""
    configure(run, word)
    run.start()
    assert refused(run) == reason
    run.wait(lambda: (run.folder / "saves" / "step-10.safetensors").exists())
    entry = kill(run, 1)
    assert (entry["launch"], entry["why_cold"]) == ("cold", reason)
    (run.folder / "on").touch()
    assert run.finish() == 0


def test_a_warm_start_that_fails_is_tried_cold_and_not_charged(run: Supervised) -> None:
    """A failure that only warm starts have is not charged; the run is cold from then on."""
    configure(run, "cold only", restart={"max_failures": 2})
    run.start()
    parked(run, 1)
    assert kill(run, 1)["launch"] == "warm"
    run.wait(lambda: len(run.entries("attempt_started")) == 3)
    entry = run.entries("attempt_started")[-1]
    why = "the warm attempt before it failed before its first step"
    assert (entry["launch"], entry["why_cold"]) == ("cold", why)
    assert run.entries("attempt_ended")[-1]["charged"] is False
    run.wait(lambda: (run.status.get("step") or 0) >= 20)
    why = "a warm attempt failed before its first step, and the cold one did not"
    assert kill(run, 3)["why_cold"] == why
    (run.folder / "on").touch()
    assert run.finish() == 0


def test_a_killed_launcher_takes_the_parked_one_with_it(run: Supervised) -> None:
    """The parked interpreter ends, because no launcher can start it; the trainer saves."""
    configure(run)
    process = run.start()
    spare = parked(run, 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run.wait(lambda: start_ticks(spare) is None)
    run.wait(lambda: not run.strays())


@pytest.mark.parametrize(
    ("words", "launch", "reason"),
    [
        (["sh", "-c", "while ! [ -e on ]; do sleep 0.05; echo step 1; done"], {}, "sh is not"),
        (None, {"mode": "cold"}, "launch.mode is cold"),
    ],
    ids=["not Python", "mode: cold"],
)
def test_what_is_launched_cold_says_so(
    run: Supervised, words: list[str] | None, launch: dict[str, str], reason: str
) -> None:
    """A command that is not Python, and `mode: cold`, are reported as cold launches."""
    configure(run, launch=launch, watch={"progress": r"step (?P<step>\d+)"})
    if words is not None:
        run.configure(
            command=words, resume={"by": "trainer"}, watch={"progress": r"step (?P<step>\d+)"}
        )
    run.start()
    run.wait(lambda: (run.status.get("step") or 0) > 0)
    if words is not None:
        assert refused(run).startswith(reason)
    entry = kill(run, 1)
    assert entry["launch"] == "cold"
    assert entry["why_cold"].startswith(reason)
    assert run.status["launch"]["parked"]["pid"] is None
    (run.folder / "on").touch()
    assert run.finish() == 0


TORCH = """
import os, time
import torch
from supervisor.worker import attach

run = attach()
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
first = 0
if run.resume_from:
    state = torch.load(run.resume_from, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    first = state["step"]
for step in range(first + 1, 41):
    optimizer.zero_grad()
    model(torch.randn(16, 8)).square().mean().backward()
    optimizer.step()
    run.beat(step=step)
    if step == 20:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        torch.save({**state, "random": torch.get_rng_state()}, "saving.tmp")
        os.makedirs("saves", exist_ok=True)
        os.replace("saving.tmp", "saves/step-20.pt")
        while run.attempt == 1 and not run.should_stop:
            time.sleep(0.05)
            run.beat(step=step)
torch.save(model.state_dict(), "final.pt")
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_torch_script_is_relaunched_warm_to_the_same_weights(run: Supervised) -> None:
    """The weights equal those of a cold relaunch of the same script, bit for bit."""
    torch = pytest.importorskip("torch")
    (run.folder / "train.py").write_text(TORCH)
    for mode in ("cold", "auto"):
        run.configure(
            name=mode,
            command=[sys.executable, "train.py"],
            run_dir=str(run.folder / mode),
            checkpoints={"directory": "saves", "keep": None},
            resume={"existing": "ignore"},
            watch={"heartbeat_timeout": "60s"},
            launch={"mode": mode},
            env={"OMP_NUM_THREADS": 1},
        )
        run.run_dir = run.folder / mode
        run.paths = type(run.paths)(run.run_dir)
        run.start()
        if mode == "auto":
            run.wait(lambda: _state(run) == "waiting")
        run.wait(lambda: (run.status.get("step") or 0) >= 20)
        time_of_death = time.monotonic()
        entry = kill(run, 1)
        assert run.finish() == 0
        assert entry["launch"] == ("cold" if mode == "cold" else "warm")
        assert entry["moments"]["exited"] >= time_of_death
        (run.folder / "final.pt").rename(run.folder / f"{mode}.pt")
        (run.folder / "saves" / "step-20.pt").unlink()
    cold, warm = (torch.load(run.folder / f"{m}.pt", weights_only=True) for m in ("cold", "auto"))
    assert all(torch.equal(cold[name], warm[name]) for name in cold)


def _state(run: Supervised) -> Any:
    return ((run.status.get("launch") or {}).get("parked") or {}).get("state")
