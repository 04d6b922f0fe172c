# make demo    a real library, compiled by an authenticated, sandboxed server
# make test    everything: set-up, make check, the whole test suite
# make fuzz    SECONDS=60 of random input for each reader; make soak MINUTES=10 of builds while all else breaks
.PHONY: help demo test check format builds bench fuzz soak install clean
.DEFAULT_GOAL := help
SHELL := /bin/bash

BIN := .venv/bin
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS)
# Tests of the whole, which start a realm and servers; all others mirror securecc/ and are what coverage is measured by.
WHOLE := $(wildcard $(addprefix tests/,attacks conformance farm testbed whole))
LEAST_COVERED ?= 88

help:
	@echo 'make demo    compiles libsodium through a Kerberised compile server, and shows how it went'
	@echo 'make test    sets all up, checks the code, runs the whole test suite'
	@echo 'make check   formatter, linter, types, floors, tests with coverage'
	@echo 'make builds  real projects, built locally and remotely: every object compared'
	@echo 'make bench   speed and memory, beside distcc'
	@echo 'make install puts it on this machine (PREFIX, DESTDIR): see docs/admin.md'
	@echo 'make fuzz    random input for everything that reads a stranger (SECONDS=60 for each reader)'
	@echo 'make soak    builds while connections, processes and policies come and go (MINUTES=10)'
	@echo 'make clean   removes what these made (.venv included)'

demo:
	@tools/bootstrap demo
	@.venv/bin/python demo/demo.py

test: check
	$(PYTEST) $(WHOLE)

check:
	@tools/bootstrap test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	rm -rf build/coverage && mkdir -p build/coverage
	COVERAGE_PROCESS_START=$(CURDIR)/tools/coverage.ini $(PYTEST) $(WHOLE:%=--ignore=%)
	$(BIN)/coverage combine -q --rcfile=tools/coverage.ini
	$(BIN)/coverage report --rcfile=tools/coverage.ini --fail-under=$(LEAST_COVERED)

format:
	@tools/bootstrap test
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

builds:
	@builds/run

bench:
	@tools/bootstrap bench
	@bench/run

install:
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' PYTHON='$(PYTHON)' packaging/install

fuzz:
	@tools/bootstrap test
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install -q atheris
	$(BIN)/python tests/fuzz/run.py $(or $(SECONDS),60)

soak:
	@tools/bootstrap test
	$(BIN)/python tests/soak/run.py $(or $(MINUTES),10) $(SEED)

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
