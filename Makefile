# The two commands of the README: `make demo` and `make test`. Each makes all that it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CONSTRAINTS := requirements/constraints.txt

.PHONY: help demo demo-bluesky test test-bliss test-bliss24 test-bliss1 test-tango95 test-bluesky-peer trees check \
  venv redis \
  bench bench-bluesky bench-tango clean

help:
	@echo "make demo        live scans become a NeXus file, with progress, verdicts and a plot"
	@echo "make demo-bluesky  the same with a RunEngine and an EPICS motor"
	@echo "make test        all tests"
	@echo "make test-bliss  a real BLISS session against our writer (installs 1.6 GB once)"
	@echo "make test-bliss24  the same with BLISS 2.4, its maps and the BlissWriter (1.6 GB more)"
	@echo "make test-bliss1 a real session of BLISS 1.11 against our writer (installs 1.3 GB once)"
	@echo "make test-bluesky-peer  the tests of apstools, and archives, against our writer"
	@echo "make test-tango95  the tests of the Tango device with PyTango 9.5"
	@echo "make trees       after a change of the layout: checked-in trees and docs/layout.md anew"
	@echo "make check       style, types, layers, spelling"
	@echo "make bench       speed, beside the reference writer"
	@echo "make bench-bluesky  the same for Bluesky"
	@echo "make bench-tango how soon the Tango device answers"

demo: $(VENV)/.demo redis
	$(BIN)/python -m nexus_writer_service.testing.demo

demo-bluesky: $(VENV)/.demo-bluesky
	$(BIN)/python examples/bluesky_nxwriter.py

# Most of the time tests wait, so there is one process more than the machine has cores.
TEST_PROCESSES := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

test: venv redis
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist worksteal $(PYTEST_ARGS)

# What changed in the layout shows in 'git diff'.
trees: venv
	$(BIN)/python -m tests.golden_trees

# The writer runs with the versions of its dependencies that BLISS 2.2 has.
test-bliss: venv .bliss-venv/.done
	PYTHON=$(PYTHON) WRITER_BIN=$(abspath .bliss-venv/bin) CHECK_PYTHON=$(abspath $(BIN)/python) \
	  tests/lab/test-bliss $(ARGS)

# This writer with today's versions: it shares nothing with BLISS but Redis, Tango and the files.
test-bliss24: venv
	PYTHON=$(PYTHON) WRITER_BIN=$(abspath $(BIN)) CHECK_PYTHON=$(abspath $(BIN)/python) \
	  tests/lab/test-bliss --bliss 2.4 $(ARGS)

.bliss-venv/.done: pyproject.toml tests/lab/bliss/constraints.txt
	@scripts/make-venv $(PYTHON) .bliss-venv
	.bliss-venv/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint tests/lab/bliss/constraints.txt --editable '.[tango]'
	@echo '*' > .bliss-venv/.gitignore
	@touch $@

# Needs redis-server of the system.
test-bliss1: venv
	LAB_PYTHON=$(PYTHON) WRITER_BIN=$(abspath $(BIN)) tests/lab/test-bliss1 $(ARGS)

# apstools' published tests, as they are, with our class in place of its own; and real archives.
test-bluesky-peer: .peer-venv/.done
	PEER_PYTHON=.peer-venv/bin/python tests/peer/run $(ARGS)

.peer-venv/.done: pyproject.toml requirements/peer.txt
	@scripts/make-venv $(PYTHON) .peer-venv
	.peer-venv/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint requirements/peer.txt --editable '.[bluesky]' \
	  apstools databroker 'tiled[all]' bluesky-tiled-plugins ophyd ophyd-async punx pytest pytest-timeout
	@echo '*' > .peer-venv/.gitignore
	@touch $@

# PyTango 9.5 needs a numpy below 2, so it has an environment of its own.
test-tango95: .tango95-venv/.done redis
	.tango95-venv/bin/python -m pytest tests/tango tests/testing/test_tango_database.py $(PYTEST_ARGS)

.tango95-venv/.done: pyproject.toml requirements/tango95.txt
	@scripts/make-venv $(PYTHON) .tango95-venv
	.tango95-venv/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint requirements/tango95.txt --editable '.[testing]' pytest pytest-timeout hypothesis PyYAML
	@echo '*' > .tango95-venv/.gitignore
	@touch $@

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: venv redis $(if $(BENCH_BLISSWRITER)$(findstring --smoke,$(ARGS)),,.bench-venv/.done)
	$(BIN)/python -m bench.suite $(ARGS)

bench-bluesky: venv $(if $(findstring --smoke,$(ARGS)),,.peer-venv/.done)
	BENCH_APSTOOLS=$(wildcard .peer-venv/bin/python) $(BIN)/python -m bench.compare_bluesky $(ARGS)

bench-tango: venv redis
	$(BIN)/python -m bench.tango_latency $(ARGS)

# The reference writer, in an environment of its own.
.bench-venv/.done: requirements/bench.txt
	@scripts/make-venv $(PYTHON) .bench-venv
	.bench-venv/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint requirements/bench.txt blisswriter==3.0.0 blissdata==2.4.5
	@echo '*' > .bench-venv/.gitignore
	@touch $@

venv: $(VENV)/.dev

redis: $(VENV)/.demo
	@scripts/ensure-redis $(BIN)/python

$(VENV)/bin/python:
	@scripts/make-venv $(PYTHON) $(VENV)

$(VENV)/.demo: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(PIP) --constraint $(CONSTRAINTS) --editable '.[demo]'
	@touch $@

$(VENV)/.demo-bluesky: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(PIP) --constraint $(CONSTRAINTS) --editable '.[demo,demo-bluesky]'
	@touch $@ $(VENV)/.demo

$(VENV)/.dev: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(PIP) --constraint $(CONSTRAINTS) --editable '.[dev]'
	@touch $@ $(VENV)/.demo $(VENV)/.demo-bluesky

clean:
	rm -rf $(VENV) .bench-venv .bliss-venv .tango95-venv .peer-venv demo-output .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
