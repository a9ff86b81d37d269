"""Programs that run another program, as data: where in their command line the other one begins.

Only a run's name depends on it. An option that is missing here costs a less fitting name.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wrapper:
    """How to read the words of a program up to the command that it runs."""

    valued: frozenset[str] = frozenset()
    """Options whose value is the next word. `--fsdp-*` stands for all that begin with `--fsdp-`."""
    twice: frozenset[str] = frozenset()
    """Options whose value is the next two words."""
    verbs: tuple[str, ...] = ()
    """The subcommands that run a command: `run` in `uv run`. Empty: it has no subcommands."""
    own_arguments: int = 0
    """How many words of its own follow its options: `10h` in `timeout -s INT 10h python …`."""
    takes_script: bool = False
    """A Python script follows, or a module behind `-m`."""

    def values_of(self, option: str) -> int:
        """How many of the next words are this option's values."""
        if option in self.twice:
            return 2
        name = option.replace("_", "-")
        families = (known[:-1] for known in self.valued if known.endswith("*"))
        return int(name in self.valued or any(name.startswith(family) for family in families))


def _options(text: str) -> frozenset[str]:
    """`n --time`: the options -n and --time."""
    return frozenset(word if word.startswith("-") else f"-{word}" for word in text.split())


_TORCHRUN = Wrapper(
    valued=_options(
        "--nnodes --nproc-per-node --rdzv-backend --rdzv-endpoint --rdzv-id --rdzv-conf"
        " --max-restarts --monitor-interval --start-method --event-log-handler --role --log-dir"
        " r --redirects t --tee --local-ranks-filter --node-rank --master-addr --master-port"
        " --local-addr --logs-specs --numa-binding --signals-to-handle"
    ),
    takes_script=True,
)
_ACCELERATE = Wrapper(
    verbs=("launch",),
    valued=_options(
        "--config-file --num-processes --num-machines --machine-rank --main-process-ip"
        " --main-process-port --same-network --mixed-precision --dynamo-backend --dynamo-mode"
        " --gpu-ids --num-cpu-threads-per-process --enable-cpu-affinity --rdzv-backend --rdzv-conf"
        " --max-restarts --monitor-interval --role --tee --log-dir --fsdp-* --deepspeed-*"
        " --megatron-lm-* --fp8-* --offload-* --gradient-* --zero-stage --zero3-* --tpu-*"
        " --parallelism-config-* --mpirun-* --main-training-function --vm --env --env-file"
    ),
    takes_script=True,
)
_DEEPSPEED = Wrapper(
    valued=_options(
        "H --hostfile i --include e --exclude --num-nodes --num-gpus --min-elastic-nodes"
        " --max-elastic-nodes --master-addr --master-port --node-rank --launcher --launcher-args"
        " --autotuning --bind-core-list --venv-script --ssh-port"
    ),
    takes_script=True,
)
_MPIRUN = Wrapper(
    valued=_options(
        "n np c H host --host hostfile --hostfile machinefile --machinefile x map-by --map-by"
        " bind-to --bind-to --rank-by npernode --npernode ppn wdir --wdir wd genvlist"
    ),
    twice=_options("mca --mca genv env gmca"),
)
_CONDA = Wrapper(
    verbs=("run",), valued=_options("n --name p --prefix --cwd e --env r --root-prefix a --attach")
)
_CONTAINER = Wrapper(
    verbs=("exec", "run"),
    valued=_options("B --bind --env --env-file --pwd H --home W --workdir --network S --scratch"),
    own_arguments=1,
)
_PLAIN = Wrapper()
_ROWS: dict[str, Wrapper] = {
    "uv": Wrapper(
        verbs=("run",),
        valued=_options(
            "--with --with-editable --with-requirements --extra --no-extra --group --no-group"
            " --only-group --env-file --package p --python --directory --project --index"
            " --default-index i --index-url --extra-index-url f --find-links --index-strategy"
            " --keyring-provider --resolution --prerelease --exclude-newer --link-mode"
            " --cache-dir --config-file C --config-setting --color P --upgrade-package"
            " --reinstall-package --refresh-package --allow-insecure-host --python-platform w"
        ),
        takes_script=True,
    ),
    "uvx": Wrapper(valued=_options("--from --with p --python")),
    "poetry": Wrapper(verbs=("run",), valued=_options("C --directory P --project")),
    "pdm": Wrapper(verbs=("run",), valued=_options("p --project --venv")),
    "pipenv": Wrapper(verbs=("run",)),
    "rye": Wrapper(verbs=("run",), valued=_options("f --pyproject")),
    "hatch": Wrapper(verbs=("run",), valued=_options("e --env p --project --data-dir")),
    "pixi": Wrapper(verbs=("run",), valued=_options("e --environment --manifest-path")),
    "conda": _CONDA, "mamba": _CONDA, "micromamba": _CONDA,
    "apptainer": _CONTAINER, "singularity": _CONTAINER,
    "srun": Wrapper(
        valued=_options(
            "A B b c C d D e F G i J L m M n N o p q r S t T w W x --account --begin"
            " --constraint --chdir --dependency --error --nodefile --gpus --input --job-name"
            " --licenses --distribution --clusters --ntasks --nodes --output --partition --qos"
            " --relative --core-spec --time --threads --nodelist --wait --exclude --gres --mem"
            " --mem-per-cpu --mem-per-gpu --cpus-per-task --cpus-per-gpu --gpus-per-node"
            " --gpus-per-task --gpus-per-socket --gpu-bind --gpu-freq --cpu-bind --mem-bind"
            " --ntasks-per-node --ntasks-per-gpu --ntasks-per-core --ntasks-per-socket --mpi"
            " --container-image --container-mounts --container-workdir --container-name --export"
            " --signal --reservation --network --comment --open-mode --prolog --epilog"
            " --task-prolog --task-epilog --jobid --het-group --tres-per-task"
            " --threads-per-core --time-min --tmp --wckey --cpu-freq --acctg-freq"
        )
    ),
    "mpirun": _MPIRUN, "mpiexec": _MPIRUN, "orterun": _MPIRUN, "horovodrun": _MPIRUN,
    "torchrun": _TORCHRUN, "accelerate": _ACCELERATE, "deepspeed": _DEEPSPEED,
    "accelerate-launch": Wrapper(valued=_ACCELERATE.valued, takes_script=True),
    "coverage": Wrapper(
        verbs=("run",), takes_script=True,
        valued=_options("--source --omit --include --rcfile --data-file --context --concurrency"),
    ),
    "env": Wrapper(valued=_options("u --unset C --chdir")),
    "nice": Wrapper(valued=_options("n --adjustment")),
    "ionice": Wrapper(valued=_options("c --class n --classdata")),
    "chrt": Wrapper(valued=_options("T D P"), own_arguments=1),
    "taskset": Wrapper(own_arguments=1),
    "numactl": Wrapper(
        valued=_options(
            "N --cpunodebind m --membind i --interleave C --physcpubind p --preferred"
        )
    ),
    "time": Wrapper(valued=_options("o --output f --format")),
    "timeout": Wrapper(valued=_options("s --signal k --kill-after"), own_arguments=1),
    "stdbuf": Wrapper(valued=_options("i --input o --output e --error")),
    "sudo": Wrapper(valued=_options("u --user g --group h p C r t T D R")),
    "strace": Wrapper(valued=_options("o e p s P")),
    "nsys": Wrapper(
        verbs=("profile",),
        valued=_options("o --output t --trace s --sample c --capture-range y --delay d --duration"),
    ),
    "nohup": _PLAIN, "setsid": _PLAIN, "unbuffer": _PLAIN, "exec": _PLAIN, "command": _PLAIN,
    "xvfb-run": Wrapper(valued=_options("n --server-num s --server-args e --error-file")),
}  # fmt: skip
# What `python -m` can start in place of a program.
_MODULES: dict[str, Wrapper] = {
    "torch.distributed.run": _TORCHRUN,
    "torch.distributed.launch": _TORCHRUN,
    "accelerate.commands.launch": Wrapper(valued=_ACCELERATE.valued, takes_script=True),
    "accelerate": _ACCELERATE,
    "deepspeed": _DEEPSPEED,
    "deepspeed.launcher.runner": _DEEPSPEED,
    "coverage": _ROWS["coverage"],
}


def wrapper_of(program: str) -> Wrapper | None:
    """How to read what a program of this name runs; None where it is no wrapper."""
    return _ROWS.get(program)


def module_wrapper(module: str) -> Wrapper | None:
    """The same for `python -m MODULE`."""
    return _MODULES.get(module)
