PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
ARGS ?=
EXAMPLES ?= 1
TEST_PROCESSES ?= 3

.PHONY: install demo test faults check format bench-aggregation bench-exports bench-imports clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "listbridge needs Python 3.11 or newer; say make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(BENCH_STAMP): $(STAMP)
	@echo "installing what the benchmarks compare with ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@touch $@

demo: install
	@$(BIN)/listbridge demo --once $(ARGS)

test: install
	TEST_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(TEST_PROCESSES) $(ARGS)

faults: install
	@$(BIN)/python -m faults $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-aggregation: $(BENCH_STAMP)
	@$(BIN)/python -m bench.aggregation $(ARGS)

bench-exports: $(BENCH_STAMP)
	@$(BIN)/python -m bench.exports $(ARGS)

bench-imports: $(BENCH_STAMP)
	@$(BIN)/python -m bench.imports $(ARGS)

clean:
	rm -rf $(VENV) .venv-tap build *.egg-info .mypy_cache .ruff_cache .pytest_cache
