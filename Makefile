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

.PHONY: all setup test lint ui repro clean

all: setup
	$(BIN)/snakemake --cores $(CORES) all

setup: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), expected Python 3.11 to 3.13; install one and run: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --no-deps --editable .
	@touch $@

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" --cov --cov-report=term:skip-covered --cov-fail-under=90

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# MLflow's pages on this machine only; first brings them up to date with the files.
ui: setup
	$(BIN)/python -m pipeline.track
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --host 127.0.0.1 --port $(PORT) \
	  --backend-store-uri "$$($(BIN)/python -c 'from cgm.params import load_params; print(load_params().tracking.uri)')"

# The same stages through DVC, one at a time; a run that fails stops no other, and the report is made without it.
repro: export PATH := $(CURDIR)/$(BIN):$(PATH)
repro: setup
	python -m pipeline.agree
	dvc repro --keep-going || { code=$$?; python -m pipeline.partial; exit $$code; }

# Everything that the stages made; the environment, DVC's cache, MLflow's store and reports/ stay.
clean:
	rm -rf build results data/raw data/prepared data/reference .snakemake
