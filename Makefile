# One line each; the README says what they do. PYTHON is used to make .venv, nothing else.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# A process a core; torch computes with one thread in each (tests/conftest.py).
WORKERS := --numprocesses auto --dist worksteal
export VIRTUAL_ENV := $(CURDIR)/.venv

.PHONY: repro test test-deep lint bench clean setup lock

repro: setup
	@# Where nothing has changed `dvc status` says so sooner than `dvc repro` (LOG.md).
	@{ dvc status --quiet || dvc repro; } && sed -n '1,/^## /{/^## /!p}' reports/summary.md

test: lint
	@pytest $(WORKERS)

test-deep: setup
	@pytest -m deep $(WORKERS)

lint: setup
	@ruff check . && ruff format --check . && mypy

bench: setup
	@python benchmarks/quality.py $(or $(DATA),--help)

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .metrics.* .reports.* data/.[a-z]* models/.[a-z]*

setup: .venv/ready

lock:
	@# CUDA's packages stay out: torch asks for those that its own build needs, and a CPU build needs none.
	uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-header --no-annotate pyproject.toml | grep -vE '^(nvidia-|cuda-|triton==)' > requirements.lock

.venv/ready: requirements.lock pyproject.toml
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip # uv's environments come without
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch .venv/ready
