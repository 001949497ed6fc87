# Two commands: `make book` and `make test`. Nothing is needed beforehand but Python 3.11 or newer.
PROFILE ?= quick
SEED ?= 0
DEVICE ?= cpu
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin
export MPLBACKEND := Agg

.PHONY: book test env lint types notebooks clean

book: env
	$(BIN)/python -m viba_lib.book build --profile $(PROFILE) --seed $(SEED) --device $(DEVICE)

test: env
	$(BIN)/python -m pytest

env: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env
	$(BIN)/mypy

notebooks: env
	$(BIN)/python -m viba_lib.book notebooks

clean:
	rm -rf _build results .pytest_cache .mypy_cache .ruff_cache
