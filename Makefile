# Every target sets up what it needs: a fresh machine wants only make, python3 with venv, and PyPI.
PYTHON ?= python3
VENV ?= .venv
TRAINERS_VENV ?= .venv-trainers
TOOLS_VENV ?= .venv-tools
HOOKS_VENV ?= .venv-hooks
# Each of them imports torch again and again.
TRAINERS_JOBS ?= 2
OUTPUT ?= demo-output
# Torch goes in first and by itself: the newest one the extra's range allows would otherwise win.
TORCH ?= torch==2.13.0
PYTEST_ARGS ?=
BENCH_ARGS ?=
# Many tests wait for processes, so four at a time keep two cores at work.
JOBS ?= 4
CHAOS ?= full
MINUTES ?= 2
SEED ?= 1
# Each has a cluster of its own, and nearly all that its tests do is wait for SLURM.
SLURM_JOBS ?= 4

BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Kept, whatever the machine says: each process that a test starts would compile all of it again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup test test-trainers before test-again test-root test-gpu test-systemd test-monitoring test-hooks chaos check format model demo docs bench bench-checkpoint dist clean bench-relaunch bench-diagnosis soak

help: ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

setup: $(VENV)/.installed ## the virtual environment with everything in it

$(VENV)/.torch:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	@echo 'setting up $(VENV), once; torch is large'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet '$(TORCH)'
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.torch
	$(BIN)/pip install --quiet --editable '.[train,gpu,dev]'
	@touch $@

test: setup ## all tests that need neither root nor a GPU
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not root and not gpu and not rig and not trainers' $(PYTEST_ARGS)

before: ## the version from which tests/upgrade starts runs (REV=a tag or a commit)
	git archive '$(REV)' supervisor | xz -9e > tests/upgrade/supervisor-before.tar.xz

test-again: setup ## what failed in the last run of tests, one by one
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --last-failed --last-failed-no-failures none $(PYTEST_ARGS)

test-systemd: setup ## a real systemd, booted in namespaces: needs root, Debian's systemd and dbus
	$(BIN)/python -m pytest -m rig tests/rigs/systemd $(PYTEST_ARGS)

test-slurm: setup ## real SLURM clusters, several at a time: needs root, Debian's slurm-wlm and munge
	$(BIN)/python -m pytest -n $(SLURM_JOBS) --dist worksteal -m rig tests/rigs/slurm $(PYTEST_ARGS)

test-monitoring: setup ## a real Prometheus and node_exporter: needs root, Debian's packages of both
	$(BIN)/python -m pytest -m rig tests/rigs/monitoring $(PYTEST_ARGS)

# An S3 server and the AWS CLI: neither is wanted in the environment of the project.
$(HOOKS_VENV)/.installed: tests/rigs/hooks/requirements.txt
	$(PYTHON) -m venv $(HOOKS_VENV)
	$(HOOKS_VENV)/bin/pip install --quiet --requirement tests/rigs/hooks/requirements.txt
	@touch $@

test-hooks: setup $(HOOKS_VENV)/.installed ## the example hooks, with a real S3 server: needs root, Debian's rclone and curl
	HOOKS_TOOLS='$(abspath $(HOOKS_VENV))/bin' $(BIN)/python -m pytest -m rig tests/rigs/hooks $(PYTEST_ARGS)

# What the trainers need is theirs alone: this project is not installed beside them.
$(TRAINERS_VENV)/.installed: tests/integrations/requirements.txt
	$(PYTHON) -m venv $(TRAINERS_VENV)
	$(TRAINERS_VENV)/bin/pip install --quiet '$(TORCH)'
	$(TRAINERS_VENV)/bin/pip install --quiet --requirement tests/integrations/requirements.txt
	$(TRAINERS_VENV)/bin/pip download --quiet --no-deps --dest $(TRAINERS_VENV)/wheels 'supervisor==4.3.0'
	@touch $@

# PyPI's torchvision cannot be imported beside a torch for CPUs, and transformers would try to.
$(TOOLS_VENV)/.installed: tests/integrations/requirements-tools.txt
	$(PYTHON) -m venv $(TOOLS_VENV)
	$(TOOLS_VENV)/bin/pip install --quiet '$(TORCH)'
	$(TOOLS_VENV)/bin/pip install --quiet --requirement tests/integrations/requirements-tools.txt
	@touch $@

test-trainers: setup $(TRAINERS_VENV)/.installed $(TOOLS_VENV)/.installed ## unchanged scripts of real training libraries
	TRAINERS_PYTHON='$(abspath $(TRAINERS_VENV))/bin/python' TOOLS_PYTHON='$(abspath $(TOOLS_VENV))/bin/python' $(BIN)/python -m pytest -n $(TRAINERS_JOBS) --dist loadfile -m trainers tests/integrations $(PYTEST_ARGS)

test-root: setup ## the tests that need root: mounts, other users
	$(BIN)/python -m pytest -m 'root and not gpu' $(PYTEST_ARGS)

test-gpu: setup ## the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu $(PYTEST_ARGS)

chaos: setup ## every power cut, kill and disk error that tests/chaos knows (CHAOS=some: a part)
	CHAOS=$(CHAOS) $(BIN)/python -m pytest -n $(JOBS) tests/chaos $(PYTEST_ARGS)

model: setup ## the protocols' models with everything that may happen (minutes; `make test` takes a part)
	MODEL=full $(BIN)/python -m pytest tests/model $(PYTEST_ARGS)

check: setup ## lint, format and types: what continuous integration holds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## mend what can be mended by a tool
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: setup ## kill a real run three times, compare its weights (OUTPUT=DIR)
	$(BIN)/python -m demo --output '$(OUTPUT)'

docs: setup ## the pages that are drawn from the code
	$(BIN)/python -m supervisor.core.diagram > docs/states.md
	$(BIN)/python -m docs.tables
	$(BIN)/python -m docs.picture

bench: setup ## what supervision costs, beside torchrun and ft_launcher
	$(BIN)/python -m benchmarks.overhead

bench-checkpoint: setup ## what a checkpoint costs, beside torch.save and DCP (BENCH_ARGS=…; an hour or more)
	$(BIN)/python -m benchmarks.checkpoint $(BENCH_ARGS)

bench-relaunch: setup ## from SIGKILL to the next step, beside a shell loop, torchrun and ft_launcher
	$(BIN)/python -m benchmarks.relaunch

bench-diagnosis: setup ## how often a cause is named rightly, beside nvidia-resiliency-ext (BENCH_ARGS=…)
	$(BIN)/python -m benchmarks.diagnosis $(BENCH_ARGS)

soak: setup ## real runs under random faults, their weights compared (MINUTES=2 SEED=1)
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) --seed $(SEED)

dist: setup ## wheel and sdist, in dist/
	$(BIN)/python -m build --no-isolation --outdir dist

clean: ## everything that these targets made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
