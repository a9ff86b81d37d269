"""Unchanged scripts on two "nodes": two supervisors, each with a torchrun agent of its own."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.rundir.paths import RunPaths
from tests.e2e.conftest import Supervised
from tests.integrations.test_huggingface_runs import weights
from tests.integrations.test_lightning_runs import assert_equal
from tests.integrations.trainers import ONE_THREAD, SCRIPTS, trainers_python

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(1500)]
PATIENCE_S = 300.0
HF = (
    "causal_lm.py", "--output_dir", "out", "--per_device_train_batch_size", "2",
    "--num_train_epochs", "1", "--logging_steps", "1", "--save_steps", "8", "--report_to",
    "none", "--seed", "3", "--learning_rate", "0.01", "--use_cpu", "--eval_strategy", "steps",
    "--eval_steps", "30",
)  # fmt: skip


class Node(Supervised):
    """The supervisor of one node; all nodes share a directory, and each has its own run."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        super().__init__(folder)
        self.run_dir = folder / f"run-{number}"
        self.paths = RunPaths(self.run_dir)
        self.config = folder / f"config-{number}.yaml"
        self.output = folder / f"output-{number}.txt"

    def at(self, step: int, attempt: int) -> None:
        """Wait until an attempt, or a later one, is at a step."""

        def reached() -> bool:
            status = self.status
            here = status.get("attempt", 0) >= attempt and status.get("state") == "running"
            return here and (status.get("step") or 0) >= step

        self.wait(reached, PATIENCE_S)

    def kill_rank(self) -> None:
        """Kill the process that trains; torchrun's agent is told by its end."""
        for pid in self.strays():
            names = Path(f"/proc/{pid}/environ").read_bytes()
            if b"LOCAL_RANK=0" in names.split(b"\0"):
                os.kill(pid, signal.SIGKILL)


class Nodes:
    """Two nodes, and what runs on both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes = [Node(folder, number) for number in (0, 1)]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def words(self, number: int, *script: str) -> list[str]:
        """The command of one node."""
        return [
            trainers_python("torch"), "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank",
            str(number), "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port",
            str(self.port), str(SCRIPTS / script[0]), *script[1:],
        ]  # fmt: skip

    def use(self, *script: str, faults: str = "", **env: str) -> None:
        """Have both nodes run a script; each fault names its rank, which is the node's number.

        Only node 0 is killed: torchrun's agent of another node that comes back at once may join the
        store of an agent that is ending, and then waits for minutes.
        """
        self.environment = {**ONE_THREAD, **env}
        for node in self.nodes:
            more = {"FAULTS": faults} if faults else {}
            others = {"resume": {"by": "trainer"}} if node.number == 1 else {}
            node.configure(
                name=f"node-{node.number}", run_dir=str(node.run_dir), grace="60s",
                command=self.words(node.number, *script), env={**self.environment, **more},
                watch={"heartbeat_timeout": "60s"}, **others,
            )  # fmt: skip

    def alone(self, *script: str) -> Path:
        """Run the same without supervisors; the folder it ran in."""
        folder = self.folder / "alone"
        folder.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        processes = [
            subprocess.Popen(
                self.words(number, *script), cwd=folder, env={**kept, **self.environment},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for number in (0, 1)
        ]  # fmt: skip
        assert [process.wait(PATIENCE_S) for process in processes] == [0, 0]
        return folder

    def start(self) -> None:
        """Start those supervisors that do not run."""
        for node in self.nodes:
            if node.process is None or node.process.poll() is not None:
                node.start()

    def stop(self, *numbers: int) -> None:
        """Ask supervisors to stop, and wait for their ends."""
        for number in numbers:
            process = self.nodes[number].process
            assert process is not None
            process.send_signal(signal.SIGTERM)
        assert [self.nodes[number].finish(PATIENCE_S) for number in numbers] == [75] * len(numbers)

    def codes(self) -> list[int]:
        """How the supervisors end."""
        return [node.finish(PATIENCE_S) for node in self.nodes]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Two nodes that run nothing yet."""
    made = Nodes(tmp_path)
    yield made
    for node in made.nodes:
        node.close()


def test_transformers_on_two_nodes(nodes: Nodes) -> None:
    """A kill, a stop seen by one node alone, a stop of both: the same weights as without."""
    nodes.use(*HF, "--example_s", "0.2", "--eval_example_s", "0")
    first, second = nodes.nodes
    nodes.start()
    second.at(10, 1)
    first.kill_rank()
    second.at(14, 2)
    nodes.stop(1)
    assert "by rank 0, on another node" in second.text
    nodes.start()
    stopped = max(int(path.name.split("-")[1]) for path in nodes.folder.glob("out/checkpoint-*"))
    first.at(stopped + 2, 3)
    nodes.stop(0, 1)
    assert "saved at step" in first.text
    nodes.start()
    assert nodes.codes() == [0, 0]
    nodes.use(*HF, "--example_s", "0", "--eval_example_s", "0")
    alone = nodes.alone(*HF, "--example_s", "0", "--eval_example_s", "0")
    found, expected = (weights(folder / "out") for folder in (nodes.folder, alone))
    assert found["model.safetensors"] == expected["model.safetensors"]
    assert "begins as the script says" not in first.text + second.text
    assert first.status["adapter"].startswith("huggingface")


def test_lightning_on_two_nodes(nodes: Nodes) -> None:
    """A kill, and a stop that one node sees: the same weights as without."""
    script = {"EVERY": "3", "NODES": "2", "STRATEGY": "ddp", "STEP_S": "0.7"}
    nodes.use("lightning_script.py", faults="kill@4,stop1@8", **script)
    alone = nodes.alone("lightning_script.py")
    for _ in range(4):
        nodes.start()
        if nodes.nodes[1].finish(PATIENCE_S) == 0:
            break
    assert nodes.nodes[0].finish(PATIENCE_S) == 0
    assert nodes.nodes[1].text.count("by rank 0, on another node") == 1
    assert "begins as the script says" not in nodes.nodes[1].text
    assert_equal(alone, nodes.folder)
