# make demo        messages over two bad lines into the journal and out again, in under a minute
# make test        everything: format, lint, types, import contracts, all tests (under 12 minutes on two cores)
# make test-fast   the tests that open no socket and are not slow
# make lint        format, lint, types, import contracts
# make bench       CPU per message beside a blocking recv loop
# make docs        the generated reference pages
# make brokers     what the broker tests need
# make endurance   the slow tests at ten times their size
# make clean       removes what these made, the virtual environment too
#
# Each does its own set-up, once: a virtual environment in .venv, made anew when pyproject.toml changes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
NAMESPACE := $(PYTHON) -m tests.support.namespace --
PYTEST := $(PYTHON) -m pytest
WORKERS ?= 2
PYTEST_ARGS ?=

.PHONY: help demo test test-fast lint bench docs brokers endurance clean tools

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(VENV)/.runtime: pyproject.toml .ci/venv
	@.ci/venv $(VENV) .
	@touch $@

$(VENV)/.dev: pyproject.toml .ci/venv
	@.ci/venv $(VENV) '.[dev]'
	@touch $@ $(VENV)/.runtime

tools:
	@.ci/tools

demo: $(VENV)/.runtime
	@$(PYTHON) -m bridge.testing.demo

lint: $(VENV)/.dev
	@$(VENV)/bin/ruff format --check --quiet . || { $(VENV)/bin/ruff format --check . ; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary
	@out=$$($(VENV)/bin/lint-imports) || { echo "$$out"; exit 1; }
	@echo "lint: format, rules, types and import contracts hold"

test: $(VENV)/.dev tools lint
	@$(NAMESPACE) $(PYTEST) -q -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

test-fast: $(VENV)/.dev
	@$(PYTEST) -q -n $(WORKERS) -m "not network and not slow" $(PYTEST_ARGS)

bench: $(VENV)/.dev
	@$(NAMESPACE) $(PYTHON) -m tests.benchmarks $(BENCH_ARGS)

docs: $(VENV)/.dev
	@$(PYTHON) -m bridge.cli.reference

brokers:
	@echo "brokers: nothing to fetch; they come with the broker connectors"

endurance: $(VENV)/.dev tools
	@BRIDGE_TEST_SCALE=10 $(NAMESPACE) $(PYTEST) -q -m slow -o timeout=3600 $(PYTEST_ARGS)

clean:
	@rm -rf $(VENV) .demo .brokers .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist build
	@find bridge connectors tests -name __pycache__ -type d -prune -exec rm -rf {} +
