# `make run` and `make test` each do all set-up on a fresh machine, in either order; stamp files remember it.
PYTHON ?= python3
PORT ?= 5000
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
PEERS := .venv-peers/.ready
# numpy reads the thread count when it is loaded, which pytest's plugins do before any of our files.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
SETUP := pyproject.toml constraints.txt install.sh

.PHONY: run test test-all lint bench ui peers lock dev clean clean-all
.NOTPARALLEL:
.DELETE_ON_ERROR:

run: $(READY)                       ## the demo: real data, a leaderboard, a report
	$(BIN)/forecast demo

test: $(READY_DEV)                  ## the default suite
	$(PYTEST) -n 2 -m "not slow"

test-all: $(READY_DEV)              ## everything, the slow tests too
	$(PYTEST) -n 2

lint: $(READY_DEV)                  ## style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY_DEV)                 ## speed, one process at a time
	$(PYTEST) -n 0 --benchmark-enable tests/bench

ui: $(READY)                        ## MLflow's pages over the runs made here
	mkdir -p outputs
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false \
	$(BIN)/mlflow ui --host 127.0.0.1 --port $(PORT) --workers 1 --backend-store-uri sqlite:///outputs/mlflow.db

peers: $(PEERS)                     ## the libraries we are measured against, in an environment of their own

dev: $(READY_DEV)                   ## set-up only

# A week's delay keeps a release that is malicious or half published out of the lock. Local wheels must not leave a trace in it.
lock: $(READY_DEV)                  ## newest versions into constraints.txt
	{ head -n 1 constraints.txt; UV_FIND_LINKS= $(BIN)/uv pip compile -q --universal --all-extras --python-version 3.11 --upgrade \
		--no-header --no-annotate --exclude-newer "$$(date -u -d '7 days ago' +%F)" pyproject.toml; } > constraints.new
	mv constraints.new constraints.txt

clean:                              ## environments and caches; results stay
	rm -rf $(VENV) .venv-peers build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean                    ## the results too
	rm -rf outputs

$(READY): $(SETUP)
	PYTHON=$(PYTHON) sh install.sh $(VENV) -c constraints.txt -e .
	touch $@

$(READY_DEV): $(SETUP)
	PYTHON=$(PYTHON) sh install.sh $(VENV) -c constraints.txt -e '.[dev]'
	touch $(READY) $@

$(PEERS): tests/bench/peers.txt
	PYTHON=$(PYTHON) sh install.sh .venv-peers -r tests/bench/peers.txt
	touch $@
