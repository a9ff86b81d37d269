"""`python -m train`: the command line and the exit code.

It must not import torch before the config and the checkpoint's path are checked.
"""

import argparse
import os
import sys
from pathlib import Path

from supervisor.worker import Worker, attach
from train.config import TrainConfig
from train.config_file import load_config
from train.errors import ConfigurationError, TrainingError

_EPILOG = """\
exit codes: 0 finished, 75 stopped on SIGTERM or SIGUSR1 with everything saved, 78 wrong
configuration, 2 wrong command line, 1 anything else"""


def main(arguments: list[str] | None = None) -> int:
    """Train as asked; returns the exit code."""
    options = _parse(arguments)
    # attach first: a stop signal that comes while torch is imported must not kill the trainer
    run = attach()
    try:
        config = load_config(options.config, options.set)
        if options.show_output_dir:
            print(_output_dir(config, options.output_dir))
            return 0
        _train(config, options, run)
    except ConfigurationError as error:
        run.exit_configuration(f"error: {error}")
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.code
    except KeyboardInterrupt:
        print("interrupted: the steps after the newest checkpoint are lost", file=sys.stderr)
        return 130
    return 0


def _train(config: TrainConfig, options: argparse.Namespace, run: Worker) -> None:
    output_dir = _output_dir(config, options.output_dir)
    named = run.resume_from or (Path(options.resume) if options.resume else None)
    if named is not None and str(named) not in ("auto", "latest") and not named.exists():
        raise TrainingError(f"the checkpoint {named} does not exist")
    from train.session import start  # torch, 1 to 3 s

    start(config, output_dir, options.resume, run, fresh=options.fresh).train()


def _output_dir(config: TrainConfig, override: Path | None) -> Path:
    """Command line, config, the supervisor's run directory, `outputs`: the first that is set."""
    if override is not None:
        return override
    return Path(config.output_dir or os.environ.get("SUPERVISOR_RUN_DIR") or "outputs")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m train",
        description="Train a model so that it can be stopped and resumed at any step.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="the config, a YAML file"
    )
    parser.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="overrides output_dir of the config"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one key of the config, e.g. training.epochs=3",
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--resume",
        metavar="PATH|auto|latest",
        help="a checkpoint directory; auto: the newest valid checkpoint, or the beginning if"
        " there is none; latest: the newest valid checkpoint, or an error if there is none",
    )
    start.add_argument(
        "--fresh", action="store_true", help="set old checkpoints aside and start from nothing"
    )
    parser.add_argument(
        "--show-output-dir", action="store_true", help="print the output directory, and exit"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
