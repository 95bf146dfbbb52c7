# Sets up its own environment in .venv, once, and runs what a newcomer needs first.
# Every target can be interrupted and run again: what was finished is not done again.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

# The interpreter that .venv is made with; by default the first of 3.11, 3.12 and 3.10
PYTHON ?=
# Processes that share the tests
WORKERS ?= auto
# More arguments for pytest, e.g. make test ARGS='-k masks'
ARGS ?=

BIN := .venv/bin
# Written last, so that a step that was interrupted counts as not done
CREATED := .venv/.created
PACKAGES := .venv/.packages
READY := .venv/.ready
DEMO := outputs/demo/.done
SOURCES := $(shell find mmsgdfuse configs tools -type f -not -name '*.pyc' 2>/dev/null)

.PHONY: help
help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(DEMO) ## Fuse the pair that ships with the package into outputs/demo (10 seconds)
	@echo 'The fused image and a panel of all steps are in outputs/demo.'

$(DEMO): $(READY) $(SOURCES)
	@echo 'Fusing the sample pair with the shipped weights; this takes about 10 seconds ...'
	@$(BIN)/python tools/demo.py --out-dir outputs/demo
	@touch $@

.PHONY: test
test: $(READY) ## Run all tests (about 10 minutes on two cores)
	@echo 'Running all tests; on two cores this takes about 10 minutes ...'
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile $(ARGS)

.PHONY: test-fast
test-fast: $(READY) ## Run the tests without the slow end-to-end ones
	@echo 'Running the tests that are not marked slow ...'
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile \
		-m 'not slow' $(ARGS)

.PHONY: lint
lint: $(READY) ## Check style and types, changing nothing (half a minute)
	@echo 'Checking style ...'
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo 'Checking types ...'
	@$(BIN)/mypy

.PHONY: format
format: $(READY) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: install
install: $(READY) ## Set up .venv alone (about 2 minutes and a download, 6 GB)
	@echo 'Ready: source .venv/bin/activate'

$(CREATED):
	@python='$(PYTHON)'; \
	for candidate in $${python:-python3.11 python3.12 python3.10 python3 python}; do \
		if $$candidate -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then \
			if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
				echo "Creating .venv with $$candidate; this takes some seconds ..."; \
				$$candidate -m venv --clear .venv; \
			fi; \
			touch $@; \
			exit 0; \
		fi; \
	done; \
	echo 'No Python 3.10, 3.11 or 3.12 with the modules venv and ensurepip was found.' >&2; \
	echo 'Install one (Debian and Ubuntu: apt install python3-venv) or name it: make PYTHON=/path/to/python3.11 ...' >&2; \
	exit 1

$(PACKAGES): requirements/lock.txt $(CREATED)
	@echo 'Installing the pinned packages into .venv, about 6 GB with torch and its GPU libraries;'
	@echo 'this takes about 2 minutes and the download. What is downloaded or installed already is not fetched again ...'
	@# pip takes a package that it was interrupted in for installed; without this folder it does not
	@for info in .venv/lib/python*/site-packages/*.dist-info; do \
		[[ -e $$info/INSTALLER && -e $$info/RECORD ]] || rm -rf "$$info"; \
	done
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r requirements/lock.txt
	@touch $@

$(READY): setup.py pyproject.toml $(wildcard requirements/*.txt) $(PACKAGES)
	@echo 'Installing mmsgdfuse itself ...'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: clean
clean: ## Remove outputs of the demo, builds and caches; .venv stays
	rm -rf outputs/demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find mmsgdfuse tests tools configs -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Remove .venv as well
	rm -rf .venv
