# Two commands on a fresh machine: `make quickstart` runs the main job, `make test` passes the tests.
# Each makes what is missing: the virtual environment in .venv, the pinned packages, amorph itself.
PYTHON ?= python3
BIN := .venv/bin
QUICKSTART := runs/quickstart

.PHONY: quickstart test slow docs benchmarks clean

quickstart: .venv/installed
	@$(BIN)/amorph run workflows/quickstart.toml --dir $(QUICKSTART) || test $$? -eq 4  # 4: done, with a check to look at

test: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow and not gpu" -n 2 --dist loadfile --no-loadscope-reorder

slow: .venv/tested
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder

# Warnings are errors; every example of the gallery is run. The pages: build/docs/index.html.
docs: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	rm -rf docs/generated docs/auto_gallery
	MPLBACKEND=Agg $(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going -b html docs build/docs

benchmarks: .venv/tested
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[benchmarks]'
	$(BIN)/python benchmarks/grids.py

clean:
	rm -rf .venv runs build dist docs/generated docs/auto_gallery *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null || \
		{ echo "make: $(PYTHON) is not Python 3.11 or 3.12; install one, or name it: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "make: $(PYTHON) has no venv; install it first (Debian: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@
