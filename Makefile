# Each target only calls a `novkit` or `python -m` command; the README lists those to start with for machines without make.
PYTHON ?= python3
VENV ?= .venv
SEEDS ?= 1
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: help install reproduce lab assignments notebooks docs lint test test-quick test-long test-oldest reliability

help:
	@echo "make install     the environment, in $(VENV)"
	@echo "make reproduce   train, score and report on the embedded data (SEEDS=3 for more)"
	@echo "make lab         JupyterLab on notebooks/"
	@echo "make notebooks   run all notebooks and store their outputs (draws pictures with Chromium or Chrome)"
	@echo "make assignments what students get, and solutions, from the scripts of the assignments"
	@echo "make docs        README, docs, notebooks and API as one site that needs no network: build/site/index.html"
	@echo "make test        lint, types and tests; test-quick: the short ones; test-long: campaigns"
	@echo "make test-oldest with the oldest torch and torchvision that novkit works with, in build/oldest"
	@echo "make reliability all tests and campaigns, and RELIABILITY.md from what came out"

install: $(VENV)/installed.txt

$(VENV)/installed.txt: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) ".[notebooks]"
	@$(BIN)/python -m pip freeze > $@

$(VENV)/installed-dev.txt: $(VENV)/installed.txt
	$(INSTALL) ".[notebooks,teach,benchmarks,dev]"
	@$(BIN)/python -m pip freeze > $@

reproduce: install
	$(BIN)/novkit reproduce --seeds $(SEEDS)

lab: install
	$(BIN)/python -m jupyterlab notebooks

assignments: $(VENV)/installed-dev.txt
	$(BIN)/python -m notebooks.assignments.build

notebooks: $(VENV)/installed-dev.txt
	$(BIN)/python -m notebooks.build

docs: $(VENV)/installed-dev.txt
	$(BIN)/python -m docs.build

lint: $(VENV)/installed-dev.txt
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy

test: lint
	$(BIN)/python -m pytest -m "not long"

test-quick: $(VENV)/installed-dev.txt
	$(BIN)/python -m pytest -m "not long and not slow"

test-long: $(VENV)/installed-dev.txt
	$(BIN)/python -m pytest

test-oldest: $(VENV)/installed-dev.txt
	$(BIN)/python -m tests.oldest

reliability: $(VENV)/installed-dev.txt
	$(BIN)/python -m tests.reliability run
