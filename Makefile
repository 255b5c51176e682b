# Two commands matter: `make run` and `make test`. Each installs what it needs, pinned by constraints.txt, into
# environments below this folder, and needs no network the second time. Paths may contain spaces.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
PIP_INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# The Triton wheel exists for Linux on x86-64 only; elsewhere the gateway runs the model in its own process.
TRITON_ENVIRONMENT := $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' -)),.venv-triton/.installed)

.PHONY: help run test train-environment sweep lint format lock clean

help:  ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

run: .venv/.serving $(TRITON_ENVIRONMENT)  ## Start Triton and the gateway; Ctrl-C stops both
	@exec .venv/bin/python -m stack

test: .venv/.development $(TRITON_ENVIRONMENT) programs  ## Run all tests
	.venv/bin/python -m pytest $(ARGS)

train-environment: .venv/.training  ## Install what training and exporting need

sweep: .venv/.training $(TRITON_ENVIRONMENT)  ## Measure how dynamic batching is best set, on an idle machine
	.venv/bin/python -m export sweep $(ARGS)

lint: .venv/.development  ## Check style and types
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy

format: .venv/.development  ## Format the code
	.venv/bin/python -m ruff format .
	.venv/bin/python -m ruff check --fix .

lock: .venv/.development  ## Pin what is declared, in constraints.txt; ARGS=--upgrade takes newer versions
	.venv/bin/uv pip compile --universal --fork-strategy fewest --python-version 3.11 --all-extras \
		--no-annotate --no-header $(ARGS) pyproject.toml --output-file constraints.txt

clean:  ## Remove environments and caches, but no data, checkpoints or models
	rm -rf .venv .venv-triton .pytest_cache .mypy_cache .ruff_cache test-artifacts *.egg-info

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv

.venv/.serving: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP_INSTALL) --editable .
	touch .venv/.serving

.venv/.training: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP_INSTALL) --editable '.[training,export]'
	touch .venv/.serving .venv/.training

.venv/.development: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP_INSTALL) --editable '.[development]'
	touch .venv/.serving .venv/.training .venv/.development

.venv-triton/.installed: triton_server/requirements.txt
	$(PYTHON) -m venv .venv-triton
	if .venv-triton/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement $<; \
		then touch $@; else echo "The Triton wheel cannot be installed here: doing without Triton."; fi

# Programs that tests drive, each with the Debian package that holds it.
TEST_PROGRAMS := chromium:chromium nginx:nginx promtool:prometheus redis-server:redis-server node:nodejs npm:npm

.PHONY: programs
programs:
	@.ci/install-programs $(TEST_PROGRAMS)
