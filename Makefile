# Two commands do all set-up: `make run` and `make test`. Everything lands in .venv and runs/.
PYTHON ?= python3
BIN := .venv/bin
# Each file of tests in one process, so that what its tests share is made once, and Ray is started by one of them alone.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: run test test-all bench lint sandbox browser clean

run: .venv/installed sandbox
	$(BIN)/evo run bin_packing --set budget.wall_seconds=80

test: .venv/tests-installed sandbox browser lint
	$(BIN)/python -m pytest -m "not slow" $(SIDE_BY_SIDE)

# The slow ones have all cores: they start clusters, and measure what becomes of them.
test-all: test
	$(BIN)/python -m pytest -m slow

bench: .venv/tests-installed sandbox
	$(BIN)/python -m tests.benchmarks

lint: .venv/tests-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# uv when it is there, venv and pip when not.
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

# bubblewrap makes the strongest sandbox. Where it is missing and we may, install it; else the fallback is used, and said.
sandbox:
	@command -v bwrap >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -y -qq bubblewrap >/dev/null; } || \
		echo "bubblewrap is not installed: candidates will run with weaker isolation (see 'evo check')" >&2

# The dashboard is tested in a browser, where there is one or we may install it; else those tests say that they were skipped.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
		echo "chromium is not installed: the dashboard's tests in a browser are skipped" >&2

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
