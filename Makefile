# Two commands: `make book` and `make test`. Both make their environment in .venv first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PROFILE ?= quick
SEED ?= 0
DEVICE ?= cpu
DATA ?= data
RESULTS ?= results

# The first interpreter that runs, is 3.11 or newer and can make environments. Names are tried, not
# looked up: a version manager may have a shim for a version that is not installed.
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.13 python3.14 python; do \
  $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  && echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.stamp
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help env book check test lint format types notebooks clean

help:
	@echo 'make book       environment, data, training, explanations, chapters, HTML in _build/html'
	@echo '                PROFILE=quick|standard|paper SEED=0 DEVICE=cpu|cuda'
	@echo 'make test       the test suite, with the chapters at the tiny profile'
	@echo 'make check      look over the built HTML: alt texts, links, provenance, videos'
	@echo 'make lint       ruff; make format: ruff, writing; make types: mypy'
	@echo 'make notebooks  write the .ipynb of each notebooks/*.py'
	@echo 'make env        the environment alone, in .venv'
	@echo 'make clean      remove _build and caches; data, results and .venv stay'

env: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer with venv is needed; install it, or name one: make PYTHON=/path/to/python3.11' >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --retries 10 --timeout 60 -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

book: $(STAMP)
	$(BIN)/python -m viba_lib.book build --profile $(PROFILE) --seed $(SEED) --device $(DEVICE) \
	  --data-root $(DATA) --results-root $(RESULTS)

check: $(STAMP)
	$(BIN)/python -m viba_lib.book check --profile $(PROFILE)

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)
	$(BIN)/mypy

notebooks: $(STAMP)
	$(BIN)/python -m viba_lib.book notebooks

clean:
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
