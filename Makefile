# Every command of the project. They build and use .venv; nothing is installed anywhere else.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
RUN := PATH="$(BIN):$$PATH"

.DEFAULT_GOAL := help
.PHONY: help repro test check format extras bench ui docs screenshots lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "make: Python 3.11 to 3.13 is needed, got " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12")'
	@echo "make: installing requirements.lock into .venv, once (a few minutes)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

repro: .venv/.installed ## Run what is out of date: generate, train, evaluate, plot, study
	@$(RUN) dvc repro

test: .venv/.installed ## Run the tests
	@$(RUN) python -m pytest

check: .venv/.installed ## Lint, and check the types
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy

format: .venv/.installed ## Put the code into its one layout
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

extras: .venv/.installed ## Add what Dask, Ray and PostgreSQL take; their tests are skipped without
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dask,ray,server]'

bench: .venv/.installed ## Measure speed, start-up and scale side by side (ten minutes; peers are installed first)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@$(RUN) python benchmarks/speed.py
	@$(RUN) python benchmarks/pipeline.py
	@$(RUN) python benchmarks/scale.py
	@$(RUN) python benchmarks/studies.py

docs: repro ## Bring the tables of the README and the pictures of docs/ up to date
	@$(RUN) python docs/build.py

screenshots: .venv/.installed ## Take the pictures in docs/screenshots anew (a minute; needs Chromium)
	@mkdir -p docs/screenshots
	@$(RUN) SCREENSHOTS="$(CURDIR)/docs/screenshots" python -m pytest -n 0 tests/test_browser.py

ui: .venv/.installed ## Show and compare the runs in a browser (http://127.0.0.1:5000)
	@$(RUN) mlflow ui --backend-store-uri sqlite:///mlflow.db

lock: ## Choose new versions: pyproject.toml -> requirements.lock
	@rm -rf .venv && $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet torch==2.13.0 $$($(PYTHON) -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*(f"\"{d}\"" for d in p["dependencies"] + p["optional-dependencies"]["dev"]))')
	@$(BIN)/pip freeze --quiet | sed 's/+cpu$$//' > requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch .venv/.installed

clean: ## Remove what the commands build, but not the results
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
