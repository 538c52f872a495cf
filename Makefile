# What a newcomer types. `make demo` and `make test` need Python 3.11 or newer and nothing else; the first call makes
# .venv, later ones find it ready. The stamps remember which extras are installed.

PYTHON ?= python3
PYTEST_ARGS ?=

VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet

# One version of PyTorch everywhere; the same as in pyproject.toml.
TORCH = 'torch==2.13.0'

.PHONY: help demo demo-train test check lint docs bench clean

help:
	@echo "make demo        denoise, segment and align real microscopy images, in process and over HTTP"
	@echo "make demo-train  train a small network to denoise them, in a minute or two, and ship it (installs PyTorch)"
	@echo "make test        run the tests"
	@echo "make check       ruff, mypy --strict, the import layers, and the documentation with warnings as errors"
	@echo "make docs        build the documentation to docs/_build/html"
	@echo "make bench       measure speed and memory"
	@echo "make clean       remove what these commands made, the environment .venv included"

demo: $(VENV)/.demo-stamp
	$(BIN)/python demo/run.py

demo-train: $(VENV)/.train-stamp
	$(BIN)/python demo/train.py

test: $(VENV)/.test-stamp
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: lint docs

lint: $(VENV)/.check-stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

docs: $(VENV)/.check-stamp
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet -j 2 docs docs/_build/html

bench: $(VENV)/.test-stamp
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) docs/_build demo-output build dist .cache
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "compox-core needs Python 3.11 or newer; name one: make PYTHON=python3.12 demo" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-stamp: $(BIN)/python pyproject.toml
	@echo "Installing what the demo needs into $(VENV) (a minute or two, once) ..."
	$(PIP) -e '.[demo]'
	@touch $@

$(VENV)/.train-stamp: $(BIN)/python pyproject.toml
	@echo "Installing what the training demo needs into $(VENV), PyTorch too (some minutes, once) ..."
	$(PIP) -e '.[demo]' $(TORCH)
	@touch $@

$(VENV)/.test-stamp: $(BIN)/python pyproject.toml
	@echo "Installing what the tests need into $(VENV) (a minute or two, once) ..."
	$(PIP) -e '.[test]'
	@touch $@

# The type checker sees what is installed, so it gets what the tests get.
$(VENV)/.check-stamp: $(VENV)/.test-stamp
	@echo "Installing the checkers into $(VENV) ..."
	$(PIP) -e '.[check,docs]'
	@touch $@
