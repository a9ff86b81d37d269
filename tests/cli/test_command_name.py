"""The name that a run gets from its command."""

import shlex

import pytest

from supervisor.cli.start.command_name import command_name
from supervisor.config.source import NAME

NAMES = [
    ("python train.py --lr 1", "train"),
    ("python -u -X dev -W ignore a/b/train_gpt.py x.py", "train_gpt"),
    ("python3.12 -- train.py", "train"),
    (".venv/bin/python ../train.py", "train"),
    ("python -m train", "train"),
    ("python -m pkg.train --config cfg.py", "pkg.train"),
    ("python -umpkg.train", "pkg.train"),
    ("python -m torch.distributed.run --nproc-per-node 2 train.py", "train"),
    ("python -m torch.distributed.run --nproc-per-node 2 -m pkg.train", "pkg.train"),
    ("python -m debugpy --listen 5678 train.py", "train"),
    ("python -c 'import x'", "python"),
    ("python -", "python"),
    ("python", "python"),
    ("./train.py", "train"),
    ("./run", "run"),
    ("uv run train.py", "train"),
    ("uv run --with torch --extra gpu python -m pkg.train", "pkg.train"),
    ("uv run --group dev -- python run_clm.py", "run_clm"),
    ("uv --project /p run -m pkg.train", "pkg.train"),
    ("uv pip install x", "uv"),
    ("uvx --from trl trl sft", "trl"),
    ("conda run -n x --no-capture-output python run_clm.py --eval b.py", "run_clm"),
    ("poetry run python train.py", "train"),
    ("env -u X A=b C=d nice -n 10 python train.py", "train"),
    ("nice -10 python t.py", "t"),
    ("srun -n 4 --gres=gpu:4 --cpus-per-task 8 python train.py", "train"),
    ("srun -N2 torchrun --nproc_per_node 4 --rdzv-backend c10d ddp.py --x", "ddp"),
    ("torchrun --standalone -m pkg.train", "pkg.train"),
    ("accelerate launch --config_file c.yaml --num_processes 2 glue.py --m", "glue"),
    ("accelerate launch --fsdp_offload_params false -m pkg.cli", "pkg.cli"),
    ("deepspeed --num_gpus 2 train.py --deepspeed ds.json", "train"),
    ("mpirun -np 4 -mca a b -x PATH python train.py", "train"),
    ("bash x.sh", "x"),
    ("bash -e scripts/run_all.sh a.py", "run_all"),
    ("bash -c 'cd x && A=b python train.py --lr 3; echo'", "train"),
    ("bash -c 'exec python -m pkg'", "pkg"),
    ("bash -c 'exec bash a/t.sh $LR'", "t"),
    ("bash -c 'sleep 3'", "bash"),
    ("numactl --cpunodebind=0 -m 0 python t.py", "t"),
    ("taskset -c 0-3 python t.py", "t"),
    ("time -p python t.py", "t"),
    ("/usr/bin/time -v -o f python t.py", "t"),
    ("timeout -s INT 10h python t.py", "t"),
    ("apptainer exec --nv -B /data img.sif python t.py", "t"),
    ("nsys profile -o rep python t.py", "t"),
    ("trl sft --model m", "trl"),
    ("llamafactory-cli train x.yaml", "llamafactory-cli"),
    ("mylaunch --n 2 train.py", "train"),
    ("mylaunch --n 2 python -m pkg.train", "pkg.train"),
    ("srun --an-unknown-option 4 python train.py", "train"),
    ("python 'my train.py'", "my-train"),
    ("python .py", "py"),
    ("env", "env"),
]


@pytest.mark.parametrize(("line", "name"), NAMES)
def test_the_name_is_that_of_what_trains(line: str, name: str) -> None:
    """Wrappers, their options and those options' values are passed over."""
    assert command_name(shlex.split(line)) == name


@pytest.mark.parametrize(
    "command",
    [["-"], ["--", "--"], ["é"], ["python", "é.py"], ["a" * 300 + ".py"], ["bash", "-c", "'"],
     ["bash", "-c"], ["python", "-m"], ["nice", "-n"], ["x\n\x00.py"], ["/"], ["uv", "run", "-m"]],
)  # fmt: skip
def test_each_name_can_be_a_directory(command: list[str]) -> None:
    """Whatever the words are, the name is a valid one."""
    assert NAME.fullmatch(command_name(command))
