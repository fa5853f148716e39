# What a person or a CI job does with this project. `make` alone lists it.
# Needs: make and Python 3.11 or newer. Everything else is installed into .venv from the locks.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
UV_VERSION := 0.13.8

# The first of these that starts and is at least 3.11 makes the venv; `make setup PYTHON=/path/to/python` chooses.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

# The tests run in so many processes, a part of them in this one; a file stays with one process.
JOBS ?= $(if $(ARGS),0,2)
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup run test check drill bench fuzz clients simulate live lock docs clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready-dev ## make .venv and install what the locks name (a second call does nothing)

run: $(VENV)/.ready ## start the gateway on 127.0.0.1:8100: your accounts, or a demo without any (HOST, PORT)
	@if [ -e "$${GEMPOOL_ACCOUNTS_FILE:-config/accounts.yaml}" ]; then exec $(BIN)/gempool serve; \
	else exec $(BIN)/gempool demo; fi

test: $(VENV)/.ready-dev ## run the tests (ARGS="tests/pool -k lru" for a part)
	@$(PYTEST) $(ARGS)

check: $(VENV)/.ready-dev ## everything CI asks: lint, format, types, directions, tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(PYTEST) $(ARGS)

drill: $(VENV)/.ready-dev ## the drills in their long form (ARGS="-k kill" for a part)
	@$(BIN)/python -m pytest tests/drills --long --timeout 3600 $(ARGS)

bench: $(VENV)/.ready-dev ## run the benchmarks, one after another; at the end, which of them missed their goals
	@missed=; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || missed="$$missed $$script"; done; \
	if [ -n "$$missed" ]; then echo "failed, or missed a goal:$$missed"; exit 1; fi

# Laws whose files are not named for it.
LAWS = tests/batches/test_books_model.py tests/engine/test_conversing_law.py tests/pool/test_background_law.py

fuzz: $(VENV)/.ready-dev ## the laws over random input in their long form, other input each time (ARGS="tests/pool" for a part)
	@$(PYTEST) -o timeout=3600 --hypothesis-profile=long $(or $(ARGS),$(wildcard tests/*/test_*_fuzz.py tests/*/test_fuzz.py) $(LAWS))

clients: $(VENV)/.ready-dev ## run unmodified client programs against a gateway (ARGS="openai-py --only tools"); needs Node 20
	@$(PIP) install uv==$(UV_VERSION)
	@$(BIN)/python tests/clients/run.py $(ARGS)

simulate: $(VENV)/.ready ## run the simulator of the web app alone (ARGS="--accounts 3")
	@exec $(BIN)/gempool simulate $(ARGS)

live: $(VENV)/.ready ## ask your own accounts in config/accounts.yaml one question (never in CI)
	@$(BIN)/gempool live

lock: $(VENV)/.python ## rewrite requirements.lock and requirements-dev.lock from pyproject.toml
	@$(PIP) install uv==$(UV_VERSION)
	@set -e; compile() { $(BIN)/uv pip compile pyproject.toml --quiet --no-header --universal --generate-hashes \
		--python-version 3.11 --no-emit-index-url --no-emit-find-links "$$@"; }; \
	lock() { out=$$1; title=$$2; shift 2; compile --output-file "$$out" "$$@"; \
		{ echo "# $$title"; echo "# Written by \`make lock\`; do not edit."; cat "$$out"; } > "$$out.new"; mv "$$out.new" "$$out"; }; \
	lock requirements.lock "What the gateway needs to run." --group build; \
	lock requirements-dev.lock "The same, and what its tests and checks need." --group build --group dev -c requirements.lock

docs: $(VENV)/.ready-dev ## rewrite the tables of docs/configuration.md from the settings
	@$(BIN)/python -m gateway.reference docs/configuration.md

clean: ## remove .venv, the clients' environments and the tools' caches (data/ and config/ stay)
	rm -rf $(VENV) .venv-clients tests/clients/js/*/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info

$(VENV)/.python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer is needed and none was found. Install one (e.g. 'apt install python3 python3-venv'"; \
		echo "or 'brew install python'), or name it: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.11"; exit 1; fi
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(None if sys.version_info >= (3, 11) else f"Python 3.11 or newer is needed; $(PYTHON) is {v}.")'
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { \
		echo "The venv could not be made. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

# The runtime alone, for `make run`.
$(VENV)/.ready: $(VENV)/.python requirements.lock pyproject.toml
	@echo "installing requirements.lock"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.lock
	@echo "installing requirements-dev.lock"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
