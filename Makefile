# make demo       train on the embedded digits, evaluate once on the test split, predict some images
# make test       the tests; make test-slow for those that train for real (minutes)
# make lint       ruff and mypy --strict; make format repairs what can be repaired
# make bench      measure ours beside the classic loop and a hand-written one (ARGS="--only WORK"); half an hour, quiet machine
# make bench-peers  also beside Lightning, fastai, Keras and skorch, installed into .venv-peers (5 GB)
# make reliability  kill, damage, fill the disk: the figures of docs/reliability.md (Linux; an hour)
# make clean      remove the environment and what was built; runs/ stays
# Another Python: make demo PYTHON=python3.12. Another folder for the packages: make demo VENV=/some/folder

VENV ?= .venv
PEERS ?= .venv-peers
PYTHON ?=
SQUEEZENET ?= ../shared/data/weights/squeezenet1_1_imagenet_tvnorm.pth
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check $(if $(CI),--quiet) -c constraints.txt
# Imported, not just found: a launcher can exist for a version that isn't there, and ensurepip can be a missing package.
SUITABLE = import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

.PHONY: help demo test test-slow lint format bench bench-peers reliability clean

help:
	@sed -n '1,8s/^# //p' Makefile

demo: $(VENV)/.installed
	@$(BIN)/python examples/demo.py

# Two processes of one thread: 4 minutes on two cores, where one process of two threads takes 7.
test: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(ARGS)

test-slow: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -m slow --timeout 3600 $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed
	@$(BIN)/python -m benchmarks.run $(ARGS)

bench-peers: $(VENV)/.installed $(PEERS)/.installed
	@$(BIN)/python -m benchmarks.run --peers $(PEERS)/bin/python $(ARGS)

reliability: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.reliability.kills --weights $(SQUEEZENET)
	@for figure in saves damage disk_full; do $(BIN)/python -m benchmarks.reliability.$$figure || exit 1; done
	@$(BIN)/python -m pytest tests/integration/test_any_sequence.py -m slow --timeout 3600

clean:
	rm -rf $(VENV) $(PEERS) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The stamps: pip runs again only when what is asked for has changed, so that what is installed works without a network.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing netwright and what it needs into $(VENV) (PyTorch is large: a few minutes the first time) ..."
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing netwright and what its tests need into $(VENV) (PyTorch is large: a few minutes the first time) ..."
	@$(PIP_INSTALL) -e ".[test,lint]"
	@touch $@ $(VENV)/.installed

$(PEERS)/.installed: benchmarks/peers.txt | $(BIN)/python
	@echo "Installing the tools to compare with into $(PEERS) (a few minutes) ..."
	@test -x $(PEERS)/bin/python || $(BIN)/python -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --disable-pip-version-check $(if $(CI),--quiet) -c constraints.txt -r benchmarks/peers.txt
	@touch $@

$(BIN)/python:
	@for candidate in $(or $(PYTHON),python3.12 python3.11 python3.13 python3 python); do \
		if "$$candidate" -c '$(SUITABLE)' >/dev/null 2>&1; then \
			echo "Creating $(VENV) with $$candidate ($$("$$candidate" --version 2>&1))"; \
			exec "$$candidate" -m venv "$(VENV)"; \
		fi; \
	done; \
	echo "No suitable Python among: $(or $(PYTHON),python3.12 python3.11 python3.13 python3 python)." >&2; \
	echo "netwright needs Python 3.11, 3.12 or 3.13 with its venv and ensurepip modules." >&2; \
	echo "Install one (on Debian and Ubuntu: python3 and python3-venv), or name it: make PYTHON=/path/to/python3.12" >&2; \
	exit 1
