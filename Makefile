# Everything a fresh Debian or Ubuntu with Python 3.11+ and make needs to try, test and check lnrecur.
# All of it lives in .venv; nothing outside this folder is touched.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# The first Python on this machine that is new enough; say PYTHON=... to choose another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/pytest

.PHONY: help demo test check unit lint types imports docs bench fuzz torture clean

help: ## Show this help
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "make %-8s %s\n", $$1, $$2 }'

$(READY): pyproject.toml constraints.txt scripts/setup_venv.py
	@test -n "$(PYTHON)" || { echo "lnrecur needs Python 3.11 or newer (apt install python3)" >&2; exit 1; }
	@$(PYTHON) scripts/setup_venv.py $(VENV)
	@touch $@

demo: $(READY) ## A merchant, five subscribers and agreeing books, with play money
	@$(BIN)/lnrecur demo

test: $(READY) ## All tests, with the coverage of the pure core
	$(BIN)/python scripts/run_tests.py

unit: $(READY) ## The unit tests, in under a minute
	$(PYTEST) tests/unit

lint: $(READY) ## Style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Types
	$(BIN)/mypy

imports: $(READY) ## The floors of the house
	$(BIN)/lint-imports

docs: $(READY) ## Write the generated pages anew
	$(BIN)/python scripts/draw_states.py
	$(BIN)/python scripts/write_cli_reference.py
	$(BIN)/python scripts/write_rules.py

check: lint types imports test ## What CI runs

bench: $(READY) ## Measure, as JSON
	@for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

fuzz: $(READY) ## Fuzz the decoders; MINUTES=5 for five minutes each
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	$(BIN)/python fuzz/run.py --minutes $(or $(MINUTES),1)

torture: $(READY) ## Kill daemons at random, and see whether a promise breaks; MINUTES=5
	$(BIN)/python tests/torture.py --minutes $(or $(MINUTES),5)

clean: ## Remove what the other targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage dist build
