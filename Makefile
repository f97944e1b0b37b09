# Every target sets up what it needs (Python environment, and for `run` and `test` the local services' programs).
.DEFAULT_GOAL := help
.PHONY: run test check format bench faults clean help

PACKAGES := contracts processors streams adapters api runtime rag edge_forwarder pipelines loadtests compose
PYTHON := .venv/bin/python
SET_UP := ./faultline bootstrap cache dev rag

run: ## start everything on this machine, show a fault developing and its alarm; Ctrl-C stops it
	@./faultline up

test: check ## all checks and all tests; skips are counted, with their reasons
	@$(SET_UP) train --browser
	$(PYTHON) -m pytest -ra

check: ## format, lint, types, layers, docstrings, contract compatibility
	@$(SET_UP)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	git ls-files -co --exclude-standard $(PACKAGES:%='%/*.py') | xargs .venv/bin/numpydoc lint
	$(PYTHON) -m contracts.diff

format: ## format the code and sort its imports
	@$(SET_UP)
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: ## measure the features and the whole pipeline, bounded
	@./faultline bench features
	@./faultline bench pipeline

faults: ## a load while faults strike, with an account of every record (SHORT=1: one minute, six faults)
	@$(SET_UP)
	$(PYTHON) -m tests.faults.ledger $(if $(SHORT),--short)

clean: ## remove data, caches and environments of this checkout
	@set -e; if [ -f .faultline/outside ]; then \
	    outside=$$(cat .faultline/outside); \
	    case $$outside in /var/lib/faultline/?*) rm -rf "$$outside" ;; esac; \
	fi
	rm -rf .faultline .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{printf "  make %-8s %s\n", $$1, $$2}'
