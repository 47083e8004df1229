# Leeward's commands. Everything needs only Python (3.11 or newer) and make; `make e2e` also needs Go and root.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# uv comes from the machine if it is there, else into .cache/uv by pip: nothing is installed outside this folder.
UV := $(shell command -v uv 2>/dev/null || echo .cache/uv/bin/uv)
RUN := $(UV) run --frozen --all-extras
PYTHON ?= python3
# Hundreds of processes are started here: what they import is compiled once, also where a shell says that nothing is to be kept.
unexport PYTHONDONTWRITEBYTECODE
SOURCES := benchmarks leeward services shared simulator deploy tests
CLUSTERLESS := tests/unit tests/contract tests/integration tests/conformance

.PHONY: help
help: ## Show this list
	@awk -F':.*## ' '/^[a-z0-9_-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Said before anything is made: which Python is needed, which one was found, and what to do about it.
CHECK := import sys; sys.version_info < (3, 11) and sys.exit("it is Python %d.%d" % sys.version_info[:2]); import ensurepip, venv
HOW_TO := install one (Debian, Ubuntu: `apt install python3 python3-venv`; macOS: `brew install python`) or say where it is: `make PYTHON=python3.12 …`

.cache/uv/bin/uv:
	@why=$$($(PYTHON) -c '$(CHECK)' 2>&1) || { \
		echo 'Leeward needs Python 3.11 or newer with venv, and $(PYTHON) will not do ('"$${why##*$$'\n'}"'): $(HOW_TO)' >&2; exit 1; }
	$(PYTHON) -m venv .cache/uv
	.cache/uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.13,<0.14'

.PHONY: setup
setup: $(if $(findstring .cache,$(UV)),$(UV)) ## Make the virtual environment in .venv from the lock file
	@$(UV) sync --frozen --all-extras --quiet

.PHONY: demo
demo: setup ## See it work: two simulated clusters, backups, mistakes and failures, in about a minute; leaves nothing behind
	@$(RUN) leeward demo

.PHONY: up
up: setup ## Run it here with two simulated clusters until Ctrl-C; UP='--context A' takes clusters of yours (see UP=--help)
	@$(RUN) leeward up $(UP)

.PHONY: test
test: setup ## Run every test that needs no cluster but the thorough ones (4 to 5 minutes on two cores)
	$(RUN) pytest $(CLUSTERLESS) -n 5 --dist worksteal -m 'not thorough'

.PHONY: thorough
thorough: setup ## Run the tests that take long: every order, every field, every crash, every command as a process (5 minutes more)
	$(RUN) pytest $(CLUSTERLESS) -n 4 --dist worksteal -m thorough

.PHONY: lint
lint: setup ## Format check, lint, types, import contracts
	$(RUN) ruff format --check $(SOURCES)
	$(RUN) ruff check $(SOURCES)
	$(RUN) mypy
	$(RUN) lint-imports

.PHONY: check
check: lint test thorough ## Everything that must hold before a commit

.PHONY: format
format: setup ## Format the code and mend what can be mended
	$(RUN) ruff format $(SOURCES)
	$(RUN) ruff check --fix $(SOURCES)

.PHONY: schemas
schemas: setup ## Write docs/schemas, docs/asyncapi.yaml and docs/fields.md from the contracts
	$(RUN) python -m tests.contract.schemas
	$(RUN) python -m tests.contract.asyncapi
	$(RUN) python -m tests.contract.fields

.PHONY: real
real: setup ## Build a real Kubernetes and a real Velero into a cache (needs Go; 11 to 14 minutes when cold)
	$(RUN) python -m tests.e2e.real.build

.PHONY: e2e
e2e: real ## Drive the product as its users do, and against real clusters with a real Velero (needs root)
	LEEWARD_E2E_REQUIRED=1 $(RUN) pytest tests/e2e
	LEEWARD_E2E_REQUIRED=1 $(RUN) pytest tests/conformance --stage real

.PHONY: secrets
secrets: setup ## Make the passwords and tokens that docker-compose.yml needs (in .leeward/compose)
	$(RUN) python -m deploy.compose.prepare

.PHONY: bench
bench: setup ## Measure speed and memory (under 8 minutes on a quiet machine); see docs/performance.md
	$(RUN) python -m benchmarks

.PHONY: bench-list
bench-list: setup ## Measure a page of each named query with N backups (20,000 unless told otherwise); see docs/performance.md
	$(RUN) python -m benchmarks.listing $(if $(filter command line environment,$(origin N)),$(N))

.PHONY: bench-schedules
bench-schedules: setup ## Measure one scheduler with N schedules (100,000 unless told otherwise); see docs/performance.md
	$(RUN) python -m benchmarks.scheduling $(if $(filter command line environment,$(origin N)),$(N))

.PHONY: bench-report
bench-report: setup ## Write the tables of docs/performance.md from what was measured last
	$(RUN) python -m benchmarks.report

N ?= 50
.PHONY: chaos
chaos: setup ## Kill, stop and cut off everything at random for N rounds, then judge; SEED=n repeats a run
	$(RUN) python -m tests.chaos --rounds $(N) $(if $(SEED),--seed $(SEED))

.PHONY: clean
clean: ## Remove what was built and cached in this folder
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
