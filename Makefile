# The two commands that a fresh machine needs: `make scan` and `make test`.
# Needs git, make and Python >= 3.11 with venv and pip; everything else is installed into .venv.

PYTHON ?= python3
VENV ?= .venv
# Which optional dependencies `make test` installs. `make test EXTRAS=test,build` also runs the
# tests of the training pipeline (PyTorch; see docs/training.md for the CPU build).
EXTRAS ?= test
LOG ?= examples/router.log
# Processes of `make test`; `make test JOBS=0` runs the tests in one, one after the other.
JOBS ?= auto

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
comma := ,
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

.DEFAULT_GOAL := help
.PHONY: help scan test lint dist clean

help:
	@echo "make scan   scan $(LOG) with the shipped model and print the report (LOG=FILE for yours)"
	@echo "make test   run the tests"
	@echo "make lint   ruff, mypy, import-linter"
	@echo "make dist   wheel, source archive, Debian packages, bill of materials, checksums: dist/"
	@echo "make clean  remove $(VENV) and caches"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "logagent needs Python >= 3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[$(EXTRAS)]'
	@touch $@

scan: $(VENV)/.installed
	$(BIN)/logagent scan --format human $(LOG)

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

dist:
	packaging/make-dist

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
