# make demo    a real library, compiled by an authenticated, sandboxed server
# make test    everything: set-up, make check, the whole test suite
# make help    all other targets
.PHONY: help demo test check format builds bench fuzz soak install release-check clean
.DEFAULT_GOAL := help
SHELL := /bin/bash

BIN := .venv/bin
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS)
# Tests of the whole system, which start a realm and servers. All others mirror securecc/; coverage is measured over them.
WHOLE := $(wildcard $(addprefix tests/,attacks conformance farm testbed))
LEAST_COVERED ?= 95

help:
	@echo 'make demo           compiles libsodium on a Kerberised compile server, and shows the result'
	@echo 'make test           sets everything up, checks the code, runs the whole test suite'
	@echo 'make check          formatter, linter, types, house rules, mirrored tests with coverage'
	@echo 'make format         formats the code and applies the fixes of the linter'
	@echo 'make builds         builds real projects locally and remotely, and compares every object'
	@echo 'make bench          speed and memory, compared with distcc'
	@echo 'make install        installs securecc on this machine (PREFIX, DESTDIR): see docs/admin.md'
	@echo 'make fuzz           random input for every parser of untrusted input (SECONDS=60 for each)'
	@echo 'make soak           sources that change at random (STEPS=10000); builds while connections, processes and'
	@echo '                    policies come and go (MINUTES=10)'
	@echo 'make release-check  version, changelog, clean tree, pages, archive and wheel'
	@echo 'make clean          removes everything that these targets made (.venv included)'

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
	$(BIN)/mypy krb5-testenv
	$(BIN)/mypy builds
	MYPYPATH=builds $(BIN)/mypy demo
	$(BIN)/mypy bench
	MYPYPATH=krb5-testenv:builds:demo $(BIN)/mypy --explicit-package-bases --follow-imports=silent tests
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

release-check:
	@tools/bootstrap test
	@$(BIN)/python tools/release-check

fuzz:
	@tools/bootstrap test
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install -q atheris
	$(BIN)/python tests/fuzz/run.py $(or $(SECONDS),60)

soak:
	@tools/bootstrap test
	$(BIN)/python tests/soak/worlds.py $(or $(STEPS),10000) $(SEED)
	$(BIN)/python tests/soak/run.py $(or $(MINUTES),10) $(SEED)

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
