# make demo   set up what it needs (no JAX), then run the twin experiment with ClimaX and print its scores
# make test   set up, with Cylc and, as root on Debian, Slurm, then pass all tests
# make cylc   Cylc for run/cylc.sh, in .venv/cylc; make ecflow: ecFlow for run/ecflow.sh, from Debian, in .venv/ecflow
# make earth2studio, make anemoi   models of others, each in an environment of its own, .venv/earth2studio, .venv/anemoi
# make campaign  what takes too long for every test run: faults by the hundred, every call of every stage refused (CALLS
#             of them), ten million decodings of broken messages
# make check  style, import rules, types
# make docs   the site, build/docs/site
# make bench  benchmarks (ratios, never pass or fail)

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# What decides an environment: one that has changed sets up again.
DECIDES := setup.cfg setup.py pyproject.toml constraints.txt obsproc/_decode.c obsproc/_decode.h $(wildcard letkf_mpi/kernel/_lanes*.[ch])

.PHONY: setup demo test campaign check bench docs clean cylc ecflow slurm earth2studio anemoi
.DELETE_ON_ERROR:

setup: $(VENV)/.complete

$(VENV)/.complete: $(DECIDES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,test,dev]'
	touch $@

# The demo is content with less than everything, and with everything where that is there.
$(VENV)/.demo: $(DECIDES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[torch,mpi]'
	touch $@

demo: $(or $(wildcard $(VENV)/.complete),$(VENV)/.demo)
	run/demo.sh

# Cylc 8.5, the last for Python 3.11, wants older Jinja2 and protobuf than the models: it has an environment of its own.
cylc: $(VENV)/cylc/.complete

$(VENV)/cylc/.complete: run/cylc/requirements.txt
	$(PYTHON) -m venv $(VENV)/cylc
	$(VENV)/cylc/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

# ecFlow is not on PyPI. Server and client of Debian are laid out here without what its window needs, and without root;
# where they are not to be had their tests are skipped.
ecflow:
	@if command -v apt-get >/dev/null && ! command -v ecflow_client >/dev/null && [ ! -x $(VENV)/ecflow/bin/ecflow_client ]; then \
	    run/ecflow/lay.sh $(VENV)/ecflow || echo "ecFlow cannot be had here: its tests are skipped"; \
	fi

# Models whose packages do not agree with constraints.txt: an environment sees the packages of .venv, this system among
# them, behind its own.
earth2studio anemoi: %: $(VENV)/%/.complete

$(VENV)/earth2studio/.complete $(VENV)/anemoi/.complete: $(VENV)/%/.complete: run/install/%.txt $(VENV)/.complete
	$(BIN)/python -m venv $(VENV)/$*
	printf 'import site; site.addsitedir("%s")\n' \
	    "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >"$$($(VENV)/$*/bin/python -c \
	    'import sysconfig; print(sysconfig.get_path("purelib"))')/behind.pth"
	$(VENV)/$*/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

# A real Slurm for its tests, from Debian, where that may be installed; without it they are skipped.
slurm:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! command -v sbatch >/dev/null; then \
	    export DEBIAN_FRONTEND=noninteractive; \
	    { apt-get -qq update && apt-get -qq install -y --no-install-recommends slurm-wlm munge; } >/dev/null || \
	    echo "Slurm cannot be installed here: its tests are skipped"; \
	fi

test: setup cylc ecflow slurm
	$(BIN)/python -m pytest -q

FAULTS ?= 50
CALLS  ?=
SEED   ?= 1

campaign: setup
	$(BIN)/python -m tests.system.campaign --faults $(FAULTS) --seed $(SEED)
	$(BIN)/python -m tests.system.campaign --faults $(FAULTS) --seed $(SEED) --services
	$(BIN)/python -m tests.system.campaign --faults $(FAULTS) --seed $(SEED) --services --analysis three_d_var
	$(BIN)/python -m tests.doors --mutants 1000 --seed $(SEED)
	$(BIN)/python -m tests.system.refusals $(if $(CALLS),--most $(CALLS))
	$(MAKE) -C tests/fuzz drive PYTHON=$(abspath $(BIN))/python RUNS=10000000 SEED=$(SEED)

check: setup
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# Peers are held to the instructions of our kernel (ONNX Runtime cannot be), and all to one thread.
ifeq ($(LETKF_INSTRUCTIONS),avx2)
bench: export OPENBLAS_CORETYPE = Haswell
bench: export ATEN_CPU_CAPABILITY = avx2
else
bench: export OPENBLAS_CORETYPE =
endif
bench: export OPENBLAS_NUM_THREADS = 1
bench: setup
	mkdir -p build
	$(BIN)/python -m pytest -q tests/benchmarks --benchmark-enable --benchmark-json=build/bench.json \
	    --benchmark-timer=tests.benchmarks.seconds.of_processors
	$(BIN)/python -m tests.benchmarks.ratios build/bench.json

docs: setup
	$(BIN)/python -m docs build/docs

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
