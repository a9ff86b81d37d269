"""Which commands count as torchrun, accelerate or deepspeed."""

from __future__ import annotations

import pytest

from supervisor.launcher.elastic_agents import is_agent

AGENTS = [
    "torchrun --nproc-per-node=2 t.py",
    "/venv/bin/python /venv/bin/torchrun --standalone t.py",
    "python3.11 -m torch.distributed.run t.py",
    "python -u -m torch.distributed.launch t.py",
    "python -Wignore -X dev -W error -m torch.distributed.run t.py",
    "python -um torch.distributed.run t.py",
    "accelerate launch t.py",
    "python /venv/bin/accelerate launch t.py",
    "python -m accelerate.commands.launch t.py",
    "python /x/site-packages/accelerate/commands/launch.py t.py",
    "deepspeed t.py",
    "python -u -m deepspeed.launcher.launch --world_info=abc t.py",
]
OTHERS = [
    "",
    "python t.py",
    "python train.py --launcher torchrun",
    "python -m train torchrun",
    "python -c torchrun",
    "python",
    "bash -c torchrun",
    "/opt/torchrun/bin/train",
    "python /home/deepspeed/t.py",
    "python -m deepspeed_free.launcher.launch",
    "-m torch.distributed.run",
]


@pytest.mark.parametrize("command", AGENTS)
def test_they_are_known(command: str) -> None:
    """An elastic agent is known by its program, script or module."""
    assert is_agent(command.split())


@pytest.mark.parametrize("command", OTHERS)
def test_others_are_not_taken_for_them(command: str) -> None:
    """A word among the arguments, or the name of a directory, does not count."""
    assert not is_agent(command.split())
