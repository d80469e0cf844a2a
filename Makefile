# `make run` and `make test` do all set-up themselves. Everything is written to .venv and runs/.
PYTHON ?= python3
BIN := .venv/bin
# A file of tests runs in one process, so that its fixtures are made once and Ray is started once. Files are handed out in
# the order of tests/conftest.py, the slowest first.
IN_TWO_PROCESSES := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: run test quick-tests test-all bench lint sandbox browser clean

run: .venv/installed sandbox
	$(BIN)/evo run bin_packing --set budget.wall_seconds=80

# Lint and tests side by side: tests wait for processes and clocks, and lint fills the time.
test: .venv/tests-installed sandbox browser
	@$(MAKE) --no-print-directory --jobs 2 lint quick-tests

quick-tests: .venv/tests-installed
	$(BIN)/python -m pytest -m "not slow" $(IN_TWO_PROCESSES)

# One process has all cores: these tests start clusters and measure times.
test-all: test
	$(BIN)/python -m pytest -m slow

bench: .venv/tests-installed sandbox
	$(BIN)/python -m tests.benchmarks

lint: .venv/tests-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# By uv where it is installed, else by venv and pip.
INSTALL = if command -v uv >/dev/null; then uv pip install -q --python $(BIN)/python -e "$(1)"; \
	else $(BIN)/python -m pip install -q --disable-pip-version-check -e "$(1)"; fi

.venv/bin/python:
	@if command -v uv >/dev/null; then uv venv -q --python $(PYTHON) .venv; else $(PYTHON) -m venv .venv; fi

.venv/installed: .venv/bin/python pyproject.toml
	@echo "installing into .venv (once; about a minute)"
	@$(call INSTALL,.)
	@touch $@

.venv/tests-installed: .venv/installed
	@$(call INSTALL,.[test])
	@touch $@

# bubblewrap makes the strongest sandbox. Install it where it is missing and we may; else say that isolation is weaker.
sandbox:
	@command -v bwrap >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -y -qq bubblewrap >/dev/null; } || \
		echo "bubblewrap is not installed: candidates will run with weaker isolation (see 'evo check')" >&2

# The dashboard is tested in Chromium. Install it where it is missing and we may; else those tests are skipped.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
		echo "chromium is not installed: the dashboard's tests in a browser are skipped" >&2

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
