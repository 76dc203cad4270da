# Each target is one verb of the README.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLUSTER ?= default
PYTEST_ARGS ?=
METRICS := docs/prometheusrule.yaml docs/metrics.md
BENCH_ARGS ?=
export PYTHONUNBUFFERED := 1

.PHONY: help setup demo demo-end bench test lint format generate captures cluster-up cluster-down kind lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(VENV)/.installed ## create .venv with everything that Keywright and its tests need

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Keywright needs Python 3.11 or later: run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "setup: installing the locked dependencies into $(VENV) (about a minute the first time)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

generate: setup ## write crds/, the chart's copy of them, and the pages of docs/ that are made from the code
	@$(BIN)/python -m keywright.api.crd crds
	@$(BIN)/python -m keywright.api.crd charts/keywright/files/crds
	@$(BIN)/python -m keywright.api.reference docs/reasons.md
	@$(BIN)/python -m keywright.decision.reference docs/answers.md
	@$(BIN)/python -m keywright.controller.metrics_reference $(METRICS)
	@$(BIN)/python -m keywright.verifier.metrics_reference docs/verifier-metrics.md

captures: setup ## write docs/what-you-see.md anew from a real cluster
	$(BIN)/pytest tests/cluster/test_kubectl.py --update-captures

lint: setup ## ruff, mypy --strict, import directions, no drift of generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m keywright.api.crd --check crds
	$(BIN)/python -m keywright.api.crd --check charts/keywright/files/crds
	$(BIN)/python -m keywright.api.reference --check docs/reasons.md
	$(BIN)/python -m keywright.decision.reference --check docs/answers.md
	$(BIN)/python -m keywright.controller.metrics_reference --check $(METRICS)
	$(BIN)/python -m keywright.verifier.metrics_reference --check docs/verifier-metrics.md

format: setup ## let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint ## lint, then every test, against a real API server that it brings up
	$(BIN)/pytest $(PYTEST_ARGS)

demo: setup ## the whole story of a key on a real API server and behind a real gateway; KEEP=1 leaves it running
	@PYTHONPATH=tests $(BIN)/python -m demo $(if $(KEEP),--keep)

demo-end: setup ## end what make demo KEEP=1 left running
	@PYTHONPATH=tests $(BIN)/python -m demo --end

bench: setup ## how fast keys become Ready, see docs/benchmarks.md (BENCH_ARGS='--keys 200 --runs 1')
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.mint $(BENCH_ARGS)

cluster-up: ## start a local control plane; the last line is its kubeconfig (CLUSTER=name)
	@PYTHONPATH=tests $(PYTHON) -m controlplane up --name $(CLUSTER)

cluster-down: ## end it
	@PYTHONPATH=tests $(PYTHON) -m controlplane down --name $(CLUSTER)

kind: ## create a kind cluster with Keywright's resources; needs a container engine and kind
	@PYTHONPATH=tests $(PYTHON) -m controlplane kind

lock: setup ## compile requirements/ anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	  --python-version 3.11 --group dev --extra all pyproject.toml -o requirements/dev.txt

clean: ## remove what setup and the tests wrote here (not the clusters, not the cache of binaries)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
