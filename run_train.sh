#!/usr/bin/env bash
# python -m train with the right interpreter, from any directory; all arguments are passed on.
#   ./run_train.sh --config configs/train_config.yaml --resume ./outputs/checkpoint-epoch-118
# Interpreter: $PYTHON, the active virtual environment, .venv beside this file, python3.
set -euo pipefail

here="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"
if [[ -n "${PYTHON:-}" ]]; then
    python="$PYTHON"
elif [[ -n "${VIRTUAL_ENV:-}" && -x "$VIRTUAL_ENV/bin/python" ]]; then
    python="$VIRTUAL_ENV/bin/python"
elif [[ -x "$here/.venv/bin/python" ]]; then
    python="$here/.venv/bin/python"
else
    python=python3
fi
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1
# exec: a stop must reach the trainer, and bash would die of it without passing it on
exec "$python" -m train "$@"
