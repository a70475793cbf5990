# Verbs only; everything else is in pyproject.toml. `make demo` and `make test` set up all they need.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
PYTEST := $(BIN)/python -m pytest --durations=20
WORKERS ?= 2

.PHONY: setup demo test maven reliability check fuzz faults bench serve lock clean
.DEFAULT_GOAL := setup

setup: $(VENV)/run.done  ## install Headrace into .venv

demo: setup  ## a real Flink job: created, run, counted, stopped with a savepoint, resumed
	$(BIN)/headrace demo

serve: setup  ## the API on http://127.0.0.1:7373
	$(BIN)/headrace serve

# Tests on real Flink mostly wait for JVMs: WORKERS of their modules run at a time, when the others are done.
test: $(VENV)/dev.done maven  ## all tests: those without Flink on WORKERS cores, then those on real Flink
	@trap 'exit 130' INT; quick=passed; flink=passed; rm -rf build/figures; export HEADRACE_FIGURES=build/figures; \
	$(PYTEST) -m 'not flink' -n $(WORKERS) --dist worksteal || quick=FAILED; \
	$(PYTEST) -m flink -n $(WORKERS) --dist loadfile || flink=FAILED; \
	echo "without Flink: $$quick; on real Flink: $$flink"; \
	test $$quick$$flink = passedpassed

# Flink's S3 file system is on Maven Central only: tests of jobs on S3 fetch it as an operator's Headrace does. And what
# looks at the obs:// plugin from within is compiled by a JDK; without one those tests are skipped.
maven:
	@{ test -n "$$HEADRACE_S3_PLUGIN_FOLDER" || command -v mvn; } >/dev/null && command -v javac >/dev/null \
	  || { test "$$(id -u)" = 0 && apt-get -q update && DEBIAN_FRONTEND=noninteractive \
	  apt-get -q install -y --no-install-recommends maven default-jdk-headless; } \
	  || test -n "$$HEADRACE_S3_PLUGIN_FOLDER" || command -v mvn >/dev/null \
	  || { echo "The tests on S3 need Maven: install it (Debian: apt install maven default-jdk-headless), or name a" \
	  "folder with Flink's S3 file systems in HEADRACE_S3_PLUGIN_FOLDER." >&2; exit 1; }

reliability: $(VENV)/dev.done  ## writes docs/reliability.md from the results of the last `make test`
	$(BIN)/python -m tests.support.promises build/figures

check: $(VENV)/dev.done  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(VENV)/dev.done  ## Schemathesis over the OpenAPI document: 10,000 requests and more; FUZZ="--seed 1" repeats a run
	$(BIN)/python -W error -m tests.support.fuzz $(FUZZ)

faults: setup  ## 60 faults on real Flink, and every record counted; FAULTS="--seed 1" repeats a run
	$(BIN)/headrace faults --faults 60 --minutes 27 $(FAULTS)

bench: $(VENV)/dev.done  ## submit -> all tasks RUNNING, beside stock Flink
	$(BIN)/python bench/start.py

lock: $(VENV)/dev.done  ## resolve the dependencies anew
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra dev -c requirements/run.lock pyproject.toml -o requirements/dev.lock

clean:
	rm -rf $(VENV)

$(VENV)/run.done: requirements/run.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Headrace needs Python 3.11 or newer with venv (Debian: apt install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/run.lock
	PYTHONWARNINGS=ignore $(PIP) install --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/dev.done: $(VENV)/run.done requirements/dev.lock
	$(PIP) install --require-hashes -r requirements/dev.lock
	touch $@
