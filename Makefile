# make demo   set up what it needs (no JAX), then run the twin experiment with ClimaX and print its scores
# make test   set up, then pass all tests
# make check  style, import rules, types
# make bench  benchmarks (ratios, never pass or fail)

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# What decides an environment: one that has changed sets up again.
DECIDES := setup.cfg setup.py pyproject.toml constraints.txt obsproc/_decode.c obsproc/_decode.h $(wildcard letkf_mpi/_lanes*.[ch])

.PHONY: setup demo test check bench clean
.DELETE_ON_ERROR:

setup: $(VENV)/.complete

$(VENV)/.complete: $(DECIDES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[nwp,torch,test,dev]'
	touch $@

# The demo is content with less than everything, and with everything where that is there.
$(VENV)/.demo: $(DECIDES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torch]'
	touch $@

demo: $(or $(wildcard $(VENV)/.complete),$(VENV)/.demo)
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
