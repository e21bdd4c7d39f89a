# make demo   set up, then run the twin experiment and print its scores
# make test   set up, then pass all tests
# make check  style, import rules, types
# make bench  benchmarks (ratios, never pass or fail)

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: setup demo test check bench clean
.DELETE_ON_ERROR:

setup: $(VENV)/.complete

# The stamp depends on what decides the environment, so that a changed requirement sets up again.
$(VENV)/.complete: setup.cfg setup.py pyproject.toml constraints.txt obsproc/_decode.c obsproc/_decode.h
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[nwp,torch,test,dev]'
	touch $@

demo: setup
	run/demo.sh

test: setup
	$(BIN)/python -m pytest -q

check: setup
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m pytest -q tests/benchmarks --benchmark-enable

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
