# Two commands: `make book` and `make test`. Nothing is needed beforehand but Python 3.11 or newer.
PROFILE ?= quick
SEED ?= 0
DEVICE ?= cpu
# The first that runs, is 3.11 or newer and can make environments. Names are tried, not looked up: a
# version manager may have a shim for a version that is not installed.
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python3.13 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
export MPLBACKEND := Agg
# Files are read as UTF-8, whatever the language of the machine.
export PYTHONUTF8 := 1

.PHONY: book check links test slow faults audit env lint format types notebooks release grade clean help

book: env
	$(BIN)/python -m viba_lib.book build --profile $(PROFILE) --seed $(SEED) --device $(DEVICE)

check: env
	$(BIN)/python -m viba_lib.book check --profile $(PROFILE)

# Addresses outside the book, which only a network can tell.
links: env
	$(BIN)/python -m viba_lib.book links

# Two at a time: each process of the suite takes up to two GB.
TESTS := $(BIN)/python -m pytest -n 2 --dist worksteal --durations 15

test: env
	$(TESTS) -m "not slow"

# Killed runs, clusters that lose workers, all chapters.
SLOW ?= slow
slow: env
	$(TESTS) -m "$(SLOW)"

# On Linux, the registry's torch comes with four GB of GPU libraries. TORCH_INDEX names an index of
# its builds without them; the versions are the same.
TORCH_INDEX ?=
GPU := ^(torch|torchvision|triton|nvidia-.*|cuda-.*)==
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

env: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed;" \
		"install it, or name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	grep -vE '$(if $(TORCH_INDEX),$(GPU),^$$)' requirements.lock > .venv/packages.txt
	$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) $$(sed -nE 's/^(torch(vision)?==[^ ;]+).*/\1/p' requirements.lock))
	$(PIP) --retries 10 -r .venv/packages.txt
	$(PIP) --no-build-isolation -e .
	touch $@

# The whole book killed twenty times, and long searches for input that breaks a reader.
faults: env
	VIBA_FAULTS=long HYPOTHESIS_PROFILE=search $(BIN)/python -m pytest tests/faults

# Known vulnerabilities in the pinned packages. Without a network it is skipped, and says so: pip-audit
# writes its table only when the index has answered.
AUDIT := _build/audit.txt
audit: env
	@mkdir -p _build && rm -f $(AUDIT)
	@if $(BIN)/python -m pip_audit -r requirements.lock -r requirements-teach.lock --no-deps --disable-pip \
		--progress-spinner off --timeout 15 -o $(AUDIT); then cat $(AUDIT) 2>/dev/null || true; \
	elif test -s $(AUDIT); then cat $(AUDIT); exit 1; \
	else echo "audit: SKIPPED, no package was audited; run \`make audit\` with a network"; fi

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports
	$(BIN)/python -m tests.vocabulary

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: env
	$(BIN)/mypy

notebooks: env
	$(BIN)/python -m viba_lib.book notebooks

# Exercises for a course: notebooks for students in _build/release/students, solutions and tests for the
# teacher in _build/release/teacher. The packages that grade are not needed for the book.
.venv/.teach: requirements-teach.lock .venv/.installed
	$(PIP) --retries 10 -r requirements-teach.lock
	touch $@

release: .venv/.teach
	$(BIN)/python -m viba_lib.book release

CHAPTER ?= 01
SUBMISSIONS ?= submissions
grade: .venv/.teach
	$(BIN)/python -m viba_lib.book grade --chapter "$(CHAPTER)" --submissions "$(SUBMISSIONS)" \
		--profile $(PROFILE) $(if $(LIGHT),--light)

# Data, results and .venv stay: they take long to come back.
clean:
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis

help:
	@echo "make book       environment, data, training, explanations, chapters, HTML in _build/html"
	@echo "                PROFILE=quick|standard|paper SEED=0 DEVICE=cpu|cuda"
	@echo "make test       the test suite"
	@echo "make slow       tests that take minutes: runs that are killed, chapters at the tiny profile"
	@echo "make check      look over the built HTML: links, alt texts, provenance, and in Chromium axe"
	@echo "make links      addresses outside the book; needs a network"
	@echo "make faults     the fault tests at length: twenty kills of the whole book, long searches"
	@echo "make audit      known vulnerabilities in the pinned packages; needs a network"
	@echo "make lint       ruff, spelling, words; make format: ruff, writing; make types: mypy"
	@echo "make notebooks  write the .ipynb of each notebooks/*.py"
	@echo "make release    exercises for students, solutions and tests for the teacher, in _build/release"
	@echo "make grade      CHAPTER=01 SUBMISSIONS=folder: marks of the notebooks in a folder"
	@echo "                LIGHT=yes leaves out the exercises that need data and results"
	@echo "make env        the environment alone, in .venv"
	@echo "                TORCH_INDEX=address of an index of torch without GPU libraries"
	@echo "make clean      remove _build and caches"
