# Every command of the project. They build and use .venv; nothing is installed anywhere else.
PYTHON ?= python3
PORT ?= 5000
BASE ?= HEAD
# Modules, not commands: a command's first line names its folder, and could not name one with a `$` in it.
PIP := .venv/bin/python -P -m pip
RUN := PATH="$$PWD/.venv/bin:$$PATH"

LISTED = $(PYTHON) -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*$(1))'

.DEFAULT_GOAL := help
.PHONY: help repro test check format extras bench ui changes skeleton docs site screenshots lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.installed: requirements.lock requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "make: Python 3.11 to 3.13 is needed, got " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12")'
	@$(PYTHON) -c 'import platform, sys; sys.exit("make: torch 2.13 and llvmlite 0.50 are not made for Macs with Intel processors, nor for a Python that is; on another Mac name one for arm64: make PYTHON=/opt/homebrew/bin/python3" if (platform.system(), platform.machine()) == ("Darwin", "x86_64") else 0)'
	@echo "make: installing requirements.lock and requirements-dev.lock into .venv, once (a few minutes)"
	@$(PYTHON) -m venv .venv
	@$(PIP) install --quiet --disable-pip-version-check --requirement requirements.lock --requirement requirements-dev.lock
	@$(PIP) install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

repro: .venv/.installed ## Run what is out of date: generate, train, evaluate, plot, study
	@$(RUN) python -P -m dvc repro

test: .venv/.installed ## Run the tests
	@$(RUN) python -m pytest

check: .venv/.installed ## Lint, and check the types
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) python -m mypy

format: .venv/.installed ## Put the code into its one layout
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

extras: .venv/.installed ## Add what Dask, Ray and PostgreSQL take; their tests are skipped without
	@$(PIP) install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dask,ray,server]'

bench: .venv/.installed ## Measure speed, start-up and scale side by side (a quarter of an hour; peers are installed first)
	@$(PIP) install --quiet --disable-pip-version-check --editable '.[bench]'
	@$(RUN) python benchmarks/speed.py
	@$(RUN) python benchmarks/seeds.py
	@$(RUN) python benchmarks/pipeline.py
	@$(RUN) python benchmarks/scale.py
	@$(RUN) python benchmarks/studies.py

docs: repro ## Bring the tables of the README and the pictures of docs/ up to date
	@$(RUN) python docs/build.py

site: .venv/.installed ## Build the pages of docs/ as a site, in site/; a dead link is an error
	@$(RUN) NO_MKDOCS_2_WARNING=1 python -m mkdocs build --quiet --strict

screenshots: .venv/.installed ## Take the pictures in docs/screenshots anew (a minute; needs Chromium)
	@mkdir -p docs/screenshots
	@$(RUN) SCREENSHOTS="$$PWD/docs/screenshots" python -m pytest -n 0 tests/pipeline/test_browser.py

ui: .venv/.installed ## Show and compare the runs in a browser, on another port with make ui PORT=5001
	@$(RUN) python -P -m attention.project ui --port "$(PORT)"

changes: .venv/.installed ## Say as markdown what changed in results and code since the last commit, or make changes BASE=main
	@$(RUN) python -P -m attention.project diff "$(BASE)" --markdown

skeleton: .venv/.installed ## Lay out a project of your own on the workbench: make skeleton DIR=../mine
	@.venv/bin/python tests/second_project/lay_out.py "$(DIR)"

lock: ## Choose new versions: pyproject.toml -> requirements.lock (what computes), requirements-dev.lock (what checks)
	@rm -rf .venv && $(PYTHON) -m venv .venv
	@$(PIP) install --quiet torch==2.13.0 $$($(call LISTED,p["dependencies"]))
	@$(PIP) freeze --quiet | sed 's/+cpu$$//' > requirements.lock
	@$(PIP) install --quiet --constraint requirements.lock $$($(call LISTED,p["optional-dependencies"]["dev"]))
	@$(PIP) freeze --quiet | sed 's/+cpu$$//' | grep -vxFf requirements.lock > requirements-dev.lock
	@$(PIP) install --quiet --disable-pip-version-check --no-deps --editable .
	@touch .venv/.installed

clean: ## Remove what the commands build, but not the results
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
