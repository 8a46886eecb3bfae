PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
FUZZ_STAMP := $(VENV)/.installed-fuzz
FUZZ_EXAMPLES ?= 3000
FUZZ_ROUTE_EXAMPLES ?= 100
ARGS ?=
EXAMPLES ?= 1
TEST_PROCESSES ?= 4

.PHONY: install demo test test-cluster test-rabbitmq faults check fuzz lock format bench-aggregation bench-exports bench-imports bench-receiver bench-scaling clean

install: $(STAMP)

$(STAMP): pyproject.toml requirements.lock requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "listbridge needs Python 3.11 or newer; say make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock --requirement requirements-dev.lock
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH_STAMP): $(STAMP)
	@echo "installing what the benchmarks compare with ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@touch $@

demo: install
	@$(BIN)/listbridge demo --once $(ARGS)

test: install
	TEST_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(TEST_PROCESSES) $(ARGS)

test-cluster: install
	TEST_CLUSTER=1 TEST_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(TEST_PROCESSES) $(ARGS)

test-rabbitmq: install
	$(BIN)/python -m pytest tests/integration/spine/rabbitmq.py $(ARGS)

faults: install
	@$(BIN)/python -m faults $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(FUZZ_STAMP): $(STAMP)
	@echo "installing what fuzzing needs ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fuzz]'
	@touch $@

fuzz: $(FUZZ_STAMP)
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -p no:schemathesis tests/fuzz --hypothesis-show-statistics $(ARGS)
	$(BIN)/python -m tests.fuzz --examples $(FUZZ_ROUTE_EXAMPLES)

lock: install
	@$(BIN)/python .ci/lock.py

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-aggregation: $(BENCH_STAMP)
	@$(BIN)/python -m bench.aggregation $(ARGS)

bench-exports: $(BENCH_STAMP)
	@$(BIN)/python -m bench.exports $(ARGS)

bench-imports: $(BENCH_STAMP)
	@$(BIN)/python -m bench.imports $(ARGS)

bench-receiver: install
	@$(BIN)/python -m bench.receiver $(ARGS)

bench-scaling: $(BENCH_STAMP)
	@$(BIN)/python -m bench.scaling $(ARGS)

clean:
	rm -rf $(VENV) .venv-tap build *.egg-info .mypy_cache .ruff_cache .pytest_cache
