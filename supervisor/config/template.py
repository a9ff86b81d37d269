"""The configuration that `supervisor init` writes: commented, valid as it stands."""

from collections.abc import Sequence

from supervisor.config.yaml_word import yaml_word

_TEMPLATE = """\
# How to keep this training run going:  supervisor check {path} && supervisor run {path}
# Durations: 90s, 5m, 1h30m. Commented out is the default, or an example where it says so.
# For completion in your editor: `supervisor schema > supervisor.schema.json`, and as first line:
# # yaml-language-server: $schema=supervisor.schema.json

# The run directory belongs to this name.
name: {name}

# The training command, one item a word; it is not run by a shell. A script: [bash, run_train.sh]
command: {command}

# Where train.log and .supervisor/ are kept.
# run_dir: runs/{name}

# checkpoints:
#   # Where the trainer saves. Default: the run directory.
#   directory: outputs
#   # Keep this many of the newest; pinned ones always stay (supervisor checkpoints pin PATH).
#   # Default: 5 of those with our manifest; other trainers' all stay until a number is given.
#   keep: 5
#   # If the trainer gives them names that are not known (docs/checkpoints.md), for example:
#   pattern: 'weights-(?P<step>\\d+)\\.bin'

resume:
  # Appended to the command when there is a checkpoint; also known: {{checkpoint_dir}}, {{name}},
  # {{step}}. SUPERVISOR_RESUME_FROM is set in any case. Example:
  # args: [--resume, "{{checkpoint}}"]
  # Appended when there is none.
  # fresh_args: []
  # Checkpoints exist but none is valid: hold (a human looks) or fresh.
  if_none_valid: hold
  # Checkpoints that were there before the first start: use or ignore; undecided is an error.
  # existing: use
  # If the trainer finds its newest checkpoint by itself.
  # by: trainer

# "Finished" is exit code 0, or, if you say so (examples):
# finish: {{step: 100000}}
# finish: {{file: outputs/DONE}}

watch:
  # For a trainer that calls supervisor.worker.attach(); auto learns from the steps seen.
  # heartbeat_timeout: auto
  # startup_timeout: auto
  # For one that does not: silence is reported with stacks; a restart only if you say so.
  log_silence: 30m
  on_silence: notify        # or restart
  # In these phases, if the trainer tells them (with run.phase("eval"): …); auto learns as well.
  # save_timeout: auto
  # eval_timeout: auto
  # compile_timeout: auto
  # How to read the step from the log (example):
  # progress: 'step (?P<step>\\d+)'

restart:
  backoff: 10s              # the first wait after a failure without progress; it doubles
  backoff_max: 5m
  max_failures: 5           # failures in a row without a newer valid checkpoint, then hold
  max_per_day: 50

# How long the trainer may take to save and end when it is asked to stop.
grace: 2m

# While it trains an interpreter with the imports done is parked, to become the next attempt.
# launch:
#   # auto, warm (says where that is not possible), or cold.
#   mode: auto
#   # The modules: what the last attempt had imported before its first step, or a list of names.
#   preload: auto
#   # It makes a CUDA context too, which takes memory on the device (example):
#   standby: cuda

# Whether `supervisor run` shows the trainer's lines too: auto is under SLURM and systemd.
# logging: {{tee: auto}}

# Signals to `supervisor run` that ask for this.
# signals: [TERM, USR1]

# Added to the trainer's environment; quote numbers.
# env: {{OMP_NUM_THREADS: "1"}}
"""


def config_template(*, path: str, name: str, command: Sequence[str]) -> str:
    """A commented configuration for a command."""
    words = ", ".join(yaml_word(word) for word in command)
    return _TEMPLATE.format(path=path, name=yaml_word(name), command=f"[{words}]")
