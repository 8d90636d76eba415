# make demo     paint, add a style and train on example images; installs on first use
# make test     run the tests; installs on first use
# make lint     ruff and mypy, as CI does
# make package  build wheel and sdist, check them, install the wheel without torch and paint
# make gallery  paint the pictures of README.md and docs/gallery.md with the shipped model
# make docs     write what is made of the configuration's keys
# make clean    remove the environment, caches and the demo's output
#
# PYTHON chooses the interpreter of the environment, PYTEST_ARGS what pytest is given.

PYTHON ?= python3
# A file's tests share what their first one has set up; the longest files come first.
PYTEST_ARGS ?= -n auto --dist loadfile --no-loadscope-reorder
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt

# Compiling the modules of PyTorch anew takes longer than their import, and tests start many processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint format docs gallery package clean

demo: $(VENV)/.demo-installed
	$(BIN)/python examples/demo.py

# Programs that tests start side by side would wait for each other's threads.
test: export OMP_NUM_THREADS := 1
test: $(VENV)/.dev-installed
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev-installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.dev-installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev-installed
	$(BIN)/python scripts/make_config_docs.py

gallery: $(VENV)/.dev-installed
	$(BIN)/python scripts/make_gallery.py

package: $(VENV)/.dev-installed
	$(BIN)/python scripts/check_package.py

clean:
	rm -rf $(VENV) build dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; make PYTHON=python3.11 chooses one")'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) --upgrade pip  # That of Python 3.11 takes twice as long to find what goes together.
	@touch $@

$(VENV)/.demo-installed: pyproject.toml constraints.txt | $(VENV)/.created
	@echo "installing into $(VENV) (once; PyTorch is large) ..."
	@$(INSTALL) -e '.[demo]'
	@touch $@

$(VENV)/.dev-installed: pyproject.toml constraints.txt | $(VENV)/.created
	@echo "installing into $(VENV) (once; PyTorch is large) ..."
	@$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.demo-installed
