# One environment, made once and again only when pyproject.toml changes. `make demo` needs nothing but this file, Python >= 3.11 and a C compiler.
#
#   make demo     the whole pipeline on the built-in world, with a report at its end
#   make test     the fast tests            make prove    the long ones: kills, and the published effects on three seeds
#   make lint     ruff                      make types    pyright
#   make docs     the pages as a site, in build/docs; a broken link fails
#   make reference  docs/reference.md and the equations of docs/methods.md, from the code
#
# On a machine where a particular wheel index is wanted:  make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/demo

export TOKENIZERS_PARALLELISM := false

.PHONY: demo test prove structure lint types docs reference clean

demo: $(VENV)/.installed
	$(BIN)/tutelage run instructgpt --out $(RUN)

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m "not long"

prove: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m long --durations=20

structure: $(VENV)/.dev
	$(BIN)/pytest -q tests/structure

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests reference examples benchmarks
	$(BIN)/ruff format --check src tests reference examples benchmarks

types: $(VENV)/.dev
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.dev
	$(BIN)/python -m sphinx -q -W --keep-going -n -d build/doctrees docs build/docs

reference: $(VENV)/.installed
	$(BIN)/python -m tutelage.recipes.handbook docs

# torch first and pinned, so that no other wheel of it is pulled in by the package.
$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tutelage needs Python 3.11 or newer: make demo PYTHON=python3.12, say")'
	$(BIN)/pip install -q --disable-pip-version-check "$(TORCH)" $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(BIN)/pip install -q --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build .pytest_cache .ruff_cache
