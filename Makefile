# Two targets do all the set-up on a fresh machine: `make suite` and `make test`.
VENV ?= .venv
# Any of Python 3.10-3.12; the newest that is found.
PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.10,$(shell python$(v) -c "import sys; print(sys.executable)" 2>/dev/null)) python3)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One thread a process: two stages share two cores without fighting.
export OMP_NUM_THREADS ?= 1
JOBS ?= 2
# A folder for JUnit files and Markdown summaries, e.g. make pocket REPORTS=reports.
REPORTS ?=
# The task whose entries the quick regression check runs; nightly runs all.
POCKET_TASK ?= gta5_to_cityscapes
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadscope
junit = $(if $(REPORTS),--junitxml=$(REPORTS)/$(1).xml)
reports = $(if $(REPORTS),--junit $(REPORTS)/$(1).xml --summary $(REPORTS)/$(1).md)

.PHONY: help install suite test board docs lint format types check fast pocket posix wheel gpu slow nightly clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 12) else f'Python {v[0]}.{v[1]} found, 3.10 to 3.12 needed: make PYTHON=/path/to/python3.11')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

install: $(STAMP)  ## make the environment (.venv) unless it is there

suite: $(STAMP)  ## run the pocket suite and write its board
	$(BIN)/python tools/run_suite.py --suite pocket
	$(BIN)/python tools/make_leaderboard.py

test: $(STAMP)  ## the default tests
	$(PYTEST) $(call junit,test)

board: $(STAMP)  ## write the leaderboards from the committed records
	$(BIN)/python tools/make_leaderboard.py

docs: $(STAMP)  ## build the documentation into build/docs; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

lint: $(STAMP)  ## ruff: lint and format check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy
	$(BIN)/mypy

check: lint types  ## lint, types, and committed pages equal regenerated ones
	$(BIN)/python tools/make_leaderboard.py --check

format: $(STAMP)  ## ruff: format and mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fast: $(STAMP)  ## tier 1: contract tests and golden bit-exact runs (under 2 minutes)
	$(PYTEST) -m 'fast and not slow' $(call junit,fast)

pocket: $(STAMP)  ## tier 2: regression check, all methods, one seed, one task (under 10 minutes)
	$(BIN)/python tools/check_regression.py --suite pocket --task $(POCKET_TASK) $(call reports,pocket)

# A locale without UTF-8, with Python's own remedies for it switched off.
POSIX = env LC_ALL=C LANG= PYTHONCOERCECLOCALE=0 PYTHONUTF8=0
posix: $(STAMP)  ## a quick part in the locale C, whose encoding is ASCII
	$(POSIX) $(BIN)/python tools/run_suite.py list > /dev/null
	$(POSIX) $(BIN)/python tools/run_suite.py plan --task $(POCKET_TASK) > /dev/null
	$(POSIX) $(BIN)/python tools/make_leaderboard.py --check
	$(POSIX) $(BIN)/python -m pytest tests/test_text.py tests/plan/test_identity.py

wheel: $(STAMP)  ## the wheel in an empty environment: list, plan, a tiny suite
	bash .ci/wheel $(BIN)/python

GATES = tests/run/test_gate.py tests/networks/test_gate.py tests/networks/test_cgnet.py
gpu: $(STAMP)  ## tier 3: source gates and GPU tests (SFDA_DATA_ROOT: real data and weights)
	@$(BIN)/python -c "import sys, torch; sys.exit(None if torch.cuda.is_available() else 'make gpu: torch sees no CUDA device')"
	$(BIN)/python -m pytest -m 'not slow' $(GATES) $(call junit,gates)
	$(BIN)/python -m pytest -m gpu $(call junit,gpu) || test $$? -eq 5

slow: $(STAMP)  ## the long tests (slow, data)
	$(PYTEST) -m 'slow or data' $(call junit,slow)

nightly: check test slow  ## tier 4: everything, and the regression check on all tasks
	$(BIN)/python tools/check_regression.py --suite pocket $(call reports,nightly)

clean:  ## remove caches (never runs/ or data/)
	rm -rf .pytest_cache .mypy_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
