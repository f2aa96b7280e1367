# Everything sets itself up: `make demo` or `make test` is all that a newcomer types.
.DEFAULT_GOAL := help
.PHONY: help demo test quick fuzz soak check bench docs clean

python := .venv/bin/python

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: ## compile a trained image classifier and show it four photographs
	@tools/setup.sh demo
	@$(python) -m weft.benchmarks.demo

test: ## the whole test suite
	@tools/setup.sh test
	@$(python) -m weft.benchmarks.zoo.packages
	@tools/test.sh $(ARGS)

quick: ## the tests that need no browser and no graphics, without the slow ones
	@tools/setup.sh test
	@tools/test.sh -m "not slow" --ignore=tests/web --ignore=tests/js --ignore-glob='*opengl*' --ignore-glob='*opencl*' --ignore-glob='*webgpu*' $(ARGS)

fuzz: ## hostile and random input, ten minutes of it (ARGS="--minutes 1 --only packages")
	@tools/setup.sh test
	@PYTHONPATH=tests $(python) -m fuzz $(ARGS)

check: ## ruff, pyright, import-linter, tsc
	@tools/setup.sh check
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/lint-imports
	tools/tsc.sh

bench: ## time weft beside its peers here and in a browser (ARGS="--quick", "--no-web")
	@tools/setup.sh bench
	@$(python) -m weft.benchmarks $(ARGS)

soak: ## run, compile and load for minutes: does memory come back? (ARGS="--loads 200")
	@tools/setup.sh test
	@$(python) -m weft.benchmarks.soak $(ARGS)

docs: ## write docs/OPERATORS.md (what runs on which target) and docs/FORMATS.md
	@tools/setup.sh test
	@PYTHONPATH=tests $(python) -m conformance.table
	@PYTHONPATH=tests $(python) -m formats

clean: ## remove what was built here, the virtual environment too
	rm -rf build dist *.egg-info .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
