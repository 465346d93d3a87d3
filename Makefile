# Bare `make` lists what there is. Everything runs in .venv, which the first command makes from the hashed lock.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STACK_ENV := test -f .stack/env || { echo "no stack yet: make demo starts it"; exit 1; } && set -a && . .stack/env && set +a
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help demo demo-spark live down status logs sql test test-servers test-spark lint format docs bench screenshots lock

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/installed ## The whole path on real servers: three months of sheets, KPIs, dashboard
	@$(BIN)/python -m scripts.demo

demo-spark: $(VENV)/installed ## Two years of sheets: history by Spark, what comes now by PostgreSQL (needs Java 17 or newer)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-spark.lock
	@$(BIN)/python -m scripts.demo_spark

live: $(VENV)/installed ## One new sheet every few seconds, to watch the dashboard move (after `make demo`; Ctrl-C ends it)
	@$(STACK_ENV) && $(BIN)/python -m scripts.csv_generator --live --upload --every 3 --manifest .stack/manifest.json

down: $(VENV)/installed ## Stop everything; the data stays in .stack/
	@$(BIN)/python -m scripts.stack down

status: $(VENV)/installed ## Processes, files by state, published version
	@$(BIN)/python -m scripts.stack status && $(STACK_ENV) && $(BIN)/loader status

logs: $(VENV)/installed ## Follow every log
	@$(BIN)/python -m scripts.stack logs

sql: $(VENV)/installed ## Open psql on the marts as the login that only reads them (after `make demo`)
	@$(BIN)/python -m scripts.stack sql -- $(ARGS)

test: $(VENV)/installed ## Every test, on real servers and in a real browser
	@$(BIN)/python -m scripts.browser
	@$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-servers: $(VENV)/installed ## The loader on Apache Kafka and versitygw, and the image (skips what the machine has not)
	@$(BIN)/python -m pytest tests/servers $(ARGS)

test-spark: $(VENV)/installed ## `loader backfill` against the loader, on Spark, which it installs (half a gigabyte)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-spark.lock
	@$(BIN)/python -m pytest -n 0 tests/spark $(ARGS)

lint: $(VENV)/installed ## ruff, mypy and sqlfluff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/python -m scripts.lint_sql

format: $(VENV)/installed ## Format the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

docs: $(VENV)/installed ## Build the dbt docs site and serve it (after `make demo`)
	@$(BIN)/python -m scripts.stack docs

bench: $(VENV)/installed ## Measure: load against \copy, other ways, small files, memory, arrival to mart
	@$(BIN)/python -m scripts.bench $(ARGS)

screenshots: $(VENV)/installed ## Take the pictures of the docs anew (after `make demo`)
	@$(BIN)/python -m scripts.screenshots

lock: ## Renew the lock files (needs uv)
	uv pip compile -q --universal --generate-hashes --no-header --no-strip-extras --python-version 3.11 --upgrade \
		pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --no-header --no-strip-extras --python-version 3.11 \
		pyproject.toml -c requirements.lock --group stack --group test --group lint -o requirements-dev.lock
	uv pip compile -q --universal --generate-hashes --no-header --no-strip-extras --python-version 3.11 \
		pyproject.toml -c requirements.lock -c requirements-dev.lock --extra spark -o requirements-spark.lock

$(VENV)/installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing packages into $(VENV) (once; a few minutes where none is cached)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
