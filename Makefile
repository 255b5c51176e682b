# Two commands matter: `make run` and `make test`. Each installs what it needs, pinned by constraints.txt, into
# environments below this folder, and needs no network the second time. Paths may contain spaces.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
# Modules are compiled when they are first imported: pip would compile all, of which most are never used.
PIP_INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
SERVING = --editable '.[local,triton]' --group gateway

PIN = .venv/bin/uv pip compile --quiet --no-annotate --no-header --python-version 3.11 --constraint constraints.txt -

# The Triton wheel exists for Linux on x86-64 only; elsewhere the gateway runs the model in its own process.
TRITON_ENVIRONMENT := $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' -)),.venv-triton/.installed)

.PHONY: help run test test-fast test-slow test-all test-environment test-programs fuzz bench-decode soak fuzz-api test-containers
.PHONY: check-manifests sbom train-environment sweep lint format lock lighthouse
.PHONY: page-pictures loadtest bench clean api-docs compare-faces

help:  ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

run: .venv/.serving $(TRITON_ENVIRONMENT)  ## Start Triton and the gateway; Ctrl-C stops both
	@exec .venv/bin/python -m stack

# Lanes of tests: CONTRIBUTING.md says what each holds. Four processes run them side by side; two cores suffice, since
# tests of servers wait more than they compute. Those that only compute, and have no server to keep waiting, give way.
# ARGS selects tests, which then run in one process.
PYTEST = .venv/bin/python -m pytest
GATEWAY_TESTS = tests/gateway tests/stack tests/monitoring
SERVER_TESTS = tests/frontend tests/triton_server tests/client tests/loadtest tests/benchmarks
# Together, since both import PyTorch and its exporter.
TRAINING_TESTS = tests/training tests/export
TEST_RUNS = gateway-tests server-tests training-tests other-tests
MARK = not slow
# Without pytest's cache, which the processes would overwrite for each other.
TEST_RUN = $(PYTEST) -p no:cacheprovider -m '$(MARK)'
RUN_SIDE_BY_SIDE = $(MAKE) --no-print-directory --jobs=4 --keep-going --output-sync=target $(TEST_RUNS)

test-fast: .venv/.development  ## Run the tests that need no server, browser, training or container
	$(PYTEST) -m fast $(ARGS)

test: test-environment  ## Run all tests but the slow ones
ifdef ARGS
	$(PYTEST) $(ARGS)
else
	@echo "Four processes run the tests, and each prints what it found when it ends."
	+@$(RUN_SIDE_BY_SIDE)
endif

test-slow: test-environment  ## Run what `make test` leaves out: exports, longer trainings, containers, crowds, fuzzing
	+@$(RUN_SIDE_BY_SIDE) MARK=slow

# Exit status 5 means that no test of the run has the mark.
.PHONY: $(TEST_RUNS)
gateway-tests:
	@$(TEST_RUN) $(GATEWAY_TESTS) || [ $$? = 5 ]
server-tests:
	@$(TEST_RUN) $(SERVER_TESTS) || [ $$? = 5 ]
training-tests:
	@$(TEST_RUN) $(TRAINING_TESTS) || [ $$? = 5 ]
other-tests:
	@nice -n 4 $(TEST_RUN) $(addprefix --ignore=,$(GATEWAY_TESTS) $(SERVER_TESTS) $(TRAINING_TESTS)) || [ $$? = 5 ]

test-all:  ## Run everything, the crowds at full size
	$(MAKE) test
	$(MAKE) test-slow
	$(MAKE) soak

test-environment: .venv/.development $(TRITON_ENVIRONMENT)  ## Install the Python packages that tests need

test-programs:  ## Install the programs that tests drive, such as Chromium and nginx, by apt as root
	@.ci/install-programs

test-containers: .venv/.development  ## Build the images, run them by compose, and test that
	.venv/bin/python -m pytest -m slow tests/containers $(ARGS)

check-manifests: .venv/.development .venv-checkov/.installed  ## Check the Kubernetes manifests: schemas and security
	.ci/check-manifests

# The Python packages of the images that we install them into, in CycloneDX's format; not those of the base images.
sbom: .venv/.development .venv-sbom/.installed  ## Write bills of materials of the images to sbom/
	mkdir -p sbom
	.venv/bin/python .ci/image-requirements triton gateway tracing | $(PIN) --output-file sbom/gateway.txt
	.venv/bin/python .ci/image-requirements local triton training export | $(PIN) --output-file sbom/training.txt
	cp triton_server/requirements.txt sbom/triton.txt
	set -e; for image in gateway triton training; do \
		.venv-sbom/bin/cyclonedx-py requirements --output-reproducible --output-file "sbom/$$image.cdx.json" "sbom/$$image.txt"; done

soak: .venv/.development $(TRITON_ENVIRONMENT)  ## Crowds of good and bad clients at full size; prints what it measured
	.venv/bin/python -m pytest -m slow tests/gateway/test_soak.py --full-size -s

fuzz-api: .venv/.development  ## Ask a running gateway what its OpenAPI description allows, and more, for some minutes
	FUZZ_EXAMPLES=$(or $(EXAMPLES),300) .venv/bin/python -m pytest -m "" tests/gateway/test_openapi.py $(ARGS)

loadtest: .venv/.development $(TRITON_ENVIRONMENT)  ## Load Triton and the gateway for two minutes; docs/LOADTEST.md
	.venv/bin/python -m loadtest --shape step --seconds 120 $(ARGS)

bench: .venv/.development $(TRITON_ENVIRONMENT) peers  ## Measure everything (ARGS="--effort short" for less) and write docs/PERFORMANCE.md
	.venv/bin/python -m benchmarks $(ARGS)

PEERS = plain litserve bentoml decord
.PHONY: peers
peers: $(PEERS:%=.venv-peer-%/.installed)  ## Install what benchmarks compare with, each in its environment

.venv-peer-%/.installed: benchmarks/peers/requirements/%.txt
	$(PYTHON) -m venv .venv-peer-$*
	.venv-peer-$*/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

compare-faces: .venv/.training .venv-peer-fer/.installed .venv-peer-face-api/.installed  ## Compare the face branch with two packages on the same pictures
	.venv/bin/python -m training.evaluate_faces --peers $(ARGS)

# fer's requirements list everything that it imports; it declares more.
.venv-peer-fer/.installed: training/peers/requirements/fer.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --requirement $<
	touch $@

.venv-peer-face-api/.installed: training/peers/package.json
	mkdir -p $(@D)
	cp $< $(@D)
	cd $(@D) && npm install --no-audit --no-fund --no-package-lock --ignore-scripts --silent
	touch $@

fuzz: .venv/.development  ## Send 10,000 mutated files through the decode workers
	.venv/bin/python -m tests.fuzz $(ARGS)

bench-decode: .venv/.development .venv-peer-decord/.installed  ## Measure the stages of a prediction, and decoding against alternatives
	.venv/bin/python -m benchmarks decode $(ARGS)

train-environment: .venv/.training  ## Install what training and exporting need

sweep: .venv/.training $(TRITON_ENVIRONMENT)  ## Measure how dynamic batching is best set, on an idle machine
	.venv/bin/python -m export sweep $(ARGS)

lint: .venv/.development check-manifests  ## Check style, types, Dockerfiles and Kubernetes manifests
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy
	.venv/bin/hadolint */Dockerfile

format: .venv/.development  ## Format the code
	.venv/bin/python -m ruff format .
	.venv/bin/python -m ruff check --fix .

lock: .venv/.development  ## Pin what is declared, in constraints.txt; ARGS=--upgrade takes newer versions
	.venv/bin/uv pip compile --universal --fork-strategy fewest --python-version 3.11 --all-extras --group development \
		--no-annotate --no-header $(ARGS) pyproject.toml --output-file constraints.txt

lighthouse: .venv/.development  ## Measure the page by Lighthouse, served by nginx
	.venv/bin/python -m tests.frontend.lighthouse

api-docs: .venv/.development  ## Write the tables of docs/API.md from the schemas and the gateway's error table
	.venv/bin/python -m docs.api_tables

page-pictures: .venv/.development $(TRITON_ENVIRONMENT)  ## Take the README's pictures of the page
	.venv/bin/python -m tests.frontend.page_pictures

clean:  ## Remove environments and caches, but no data, checkpoints or models
	rm -rf .venv .venv-triton .venv-checkov .venv-sbom .venv-peer-* .cache sbom .pytest_cache .mypy_cache .ruff_cache test-artifacts *.egg-info

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'  # knows dependency groups

.venv/.serving: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP_INSTALL) $(SERVING)
	touch .venv/.serving

.venv/.training: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP_INSTALL) $(SERVING) --group training --group export
	touch .venv/.serving .venv/.training

.venv/.development: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP_INSTALL) --editable '.[local,triton,plot]' --group development
	touch .venv/.serving .venv/.training .venv/.development

.venv-triton/.installed: triton_server/requirements.txt
	$(PYTHON) -m venv .venv-triton
	if .venv-triton/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --requirement $<; \
		then touch $@; else echo "The Triton wheel cannot be installed here: doing without Triton."; fi

# Tools whose own pins are not ours, each in an environment of its own.
.venv-checkov/.installed: PACKAGE := checkov==3.3.30
.venv-sbom/.installed: PACKAGE := cyclonedx-bom==7.5.0
.venv-checkov/.installed .venv-sbom/.installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(PACKAGE)
	touch $@
