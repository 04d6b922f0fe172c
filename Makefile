# make demo    a real library, compiled by an authenticated, sandboxed server
# make test    everything: set-up, make check, the whole test suite
.PHONY: help demo test check format bench clean
.DEFAULT_GOAL := help
SHELL := /bin/bash

BIN := .venv/bin
WORKERS ?= 2
PYTEST ?= $(BIN)/python -m pytest -n $(WORKERS) -q

help:
	@echo 'make demo    compiles libsodium through a Kerberised compile server, and shows how it went'
	@echo 'make test    sets all up, checks the code, runs the whole test suite'
	@echo 'make check   formatter, linter, types, floors, coverage'
	@echo 'make bench   speed and memory, beside distcc'
	@echo 'make clean   removes what these made (.venv included)'

demo:
	@tools/bootstrap demo
	@.venv/bin/python demo/demo.py

test: check
	$(PYTEST)

check:
	@tools/bootstrap test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format:
	@tools/bootstrap test
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench:
	@tools/bootstrap bench
	@bench/run

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
