"""The configuration that `supervisor init` writes: commented, valid as it stands."""

import re
import textwrap
from collections.abc import Iterator, Sequence

from supervisor.config.meanings import key_meanings
from supervisor.config.yaml_word import yaml_word

# A key's meaning is put on the lines above it, or behind it where its line ends with `#`.
_TEMPLATE = """\
# How to keep this training run going:  supervisor check {path} && supervisor run {path}
# Durations are 90s, 5m, 1h30m. A line that is commented out shows the default, or an example.
# For completion in your editor: `supervisor schema > supervisor.schema.json`, and this first line:
# # yaml-language-server: $schema=supervisor.schema.json

name: {name}

command: {command}

# run_dir: runs/{name}

{cwd}

# checkpoints:  #
#   directory: outputs        # an example
#   keep: 5
#   pattern: 'weights-(?P<step>\\d+)\\.bin'
#   interval: auto
#   interval_min: 1m
#   interval_max: 4h

# resume:  #
#   args: [--resume, "{{checkpoint}}"]
#   fresh_args: []
#   if_none_valid: hold
#   existing: use
#   by: supervisor

# finish:  #
#   step: 100000              #
#   file: outputs/DONE        #

watch:  #
  # heartbeat_timeout: auto   #
  # startup_timeout: auto     #
  # eval_timeout: auto        #
  # save_timeout: auto        #
  # compile_timeout: auto     #
  log_silence: 30m
  on_silence: notify
  # progress: 'step (?P<step>\\d+)'

# diagnosis:  #
#   rules: my_rules.yaml      # an example

restart:  #
  backoff: 10s              #
  backoff_max: 5m           #
  max_failures: 5           #
  max_per_day: 50           #
  # exit_codes: {{3: hold, 42: free}}

grace: 2m

# integrate: auto

# launch:  #
#   mode: auto
#   preload: auto
#   standby: cuda

# logging:  #
#   tee: true                 # an example

# metrics:  #
#   textfile: /var/lib/prometheus/node-exporter

# notify:  #
#   to: [ntfy://my-topic, "env:SLACK_ADDRESS"]
#   events: [held, hang, recovered, finished, requeue_failed, disk]
#   not_more_than: 10m
#   ping: https://hc-ping.com/my-check
#   every: 5m

# hooks:  #
#   before_launch: [./before_launch.sh]
#   attempt_ended: [./attempt_ended.sh]
#   checkpoint_proven: [./checkpoint_proven.sh]
#   held: [./held.sh]
#   finished: [./finished.sh]

# signals: [TERM, USR1]

# env: {{OMP_NUM_THREADS: "1"}}
"""
_WIDTH = 100
# Before a key stand the margin of its section, and `# ` where the key alone is commented out.
_KEY = re.compile(r"(?P<margin>#? {2,3})?(?:# )?(?P<name>\w+):")


def config_template(*, path: str, name: str, command: Sequence[str], cwd: str | None = None) -> str:
    """A commented configuration for a command; `cwd` is the value of the key."""
    place = "# cwd: ..                    # an example" if cwd is None else f"cwd: {yaml_word(cwd)}"
    text = _TEMPLATE.format(
        path=path, name=yaml_word(name), command=command_text(command), cwd=place
    )
    return "\n".join(_explained(text.split("\n")))


def command_text(command: Sequence[str]) -> str:
    """A command as the template has it: one line of YAML."""
    return f"[{', '.join(yaml_word(word) for word in command)}]"


def _explained(lines: Sequence[str]) -> Iterator[str]:
    """The lines of the template, with the meaning of each key added."""
    meanings, section = key_meanings(), ""
    for line in lines:
        found = _KEY.match(line)
        if found is None:
            yield line
            continue
        margin, name = found["margin"] or "", found["name"]
        section = section if margin else name
        meaning = meanings[f"{section}.{name}" if margin else name].comment
        if line.endswith("#"):
            yield f"{line} {meaning}"
        else:
            before = f"{margin}# "
            yield from textwrap.wrap(
                meaning, _WIDTH, initial_indent=before, subsequent_indent=before
            )
            yield line
