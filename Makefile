# Two commands: `make lab` opens the notebooks, `make test` runs every test.
# Each makes its own .venv first, or brings it up to date when pyproject.toml has changed.
# Options for JupyterLab: make lab ARGS="--no-browser --port 8890"

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Apart: what builds the site would add itself to the JupyterLab of .venv.
SITE := .venv-site
LOWEST := .venv-lowest
# A file at a time, in order: what a file sets up is set up once, and the long ones come first.
BY_FILE := --dist loadfile --no-loadscope-reorder
CHECK := import sys; sys.version_info >= (3, 11) or sys.exit('cnnlib needs Python 3.11 or newer, \
this is %d.%d; name another one: make ... PYTHON=python3.12' % sys.version_info[:2])

.PHONY: lab test test-core test-browser test-lowest coverage notebooks bench bench-scaling site test-site address clean

lab: $(VENV)/lab.stamp
	$(BIN)/python -m jupyterlab --notebook-dir notebooks --config jupyter_server_config.py $(ARGS)

# Half of the work is in the browser, which waits now and then: one core for it, the others for the rest.
test: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --jobs=2 test-core test-browser

test-core: $(VENV)/test.stamp
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest notebooks tests --ignore=tests/browser -q $(BY_FILE) \
		-n $$($(BIN)/python -c "import os; print(max(1, os.cpu_count() - 1))") \
		--nbval --nbval-current-env --nbval-cell-timeout=300 --nbval-sanitize-with tests/nbval_sanitize.cfg

test-browser: $(VENV)/test.stamp
	$(BIN)/python -m pytest -p no:nbval tests/browser -q

# The package's tests with the lowest versions that pyproject.toml allows; the newer packages below
# them deprecate what they call.
test-lowest:
	$(PYTHON) -c "$(CHECK)" && $(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python .ci/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --constraint $(LOWEST)/constraints.txt --editable ".[lab,test]"
	OPENBLAS_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest tests --ignore=tests/browser -q -n auto $(BY_FILE) \
		-W ignore::DeprecationWarning $(ARGS)

# How much of the package the same tests run, with every line that they miss.
coverage: $(VENV)/test.stamp
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m coverage run --source cnnlib -m pytest tests --ignore=tests/browser -q $(ARGS)
	$(BIN)/python -m coverage report --show-missing --skip-covered

# Run the notebooks from a fresh kernel and store their outputs, the way CI compares them.
notebooks: $(VENV)/test.stamp
	$(BIN)/python tests/store_notebooks.py

# Ratios to the book's way and to PyTorch; growth of time and memory. See benchmarks/README.md.
# Both take options: make bench ARGS=--quick
bench: $(VENV)/test.stamp
	$(BIN)/python benchmarks/ratios.py $(ARGS)

bench-scaling: $(VENV)/test.stamp
	$(BIN)/python benchmarks/scaling.py $(ARGS)

# What readers open without installing anything, into dist/. Needs npm. See lite/README.md.
site: $(SITE)/site.stamp
	$(SITE)/bin/python lite/build.py --out dist $(ARGS)

# The site with Python inside, driven in Chromium, and the core tests in the browser's Python.
# Takes minutes, downloads 120 MB the first time, needs npm. make test-site ARGS="-k 7_2"
test-site: $(VENV)/test.stamp $(SITE)/site.stamp
	$(BIN)/python tests/site/distribution.py build/pyodide
	$(SITE)/bin/python lite/build.py --offline build/pyodide --out build/site
	CNNLIB_SITE=build/site $(BIN)/python -m pytest tests/site -q -s $(ARGS)
	node tests/site/core_tests.mjs build/pyodide

# Write where this project lives into all that names it: make address REPOSITORY=you/your-copy
address:
	@test -n "$(REPOSITORY)" || { echo "say which: make address REPOSITORY=you/your-copy"; exit 1; }
	perl -pi -e 's{OWNER/REPOSITORY}{$(REPOSITORY)}g; s{OWNER%2FREPOSITORY}{$(subst /,%2F,$(REPOSITORY))}g; \
		s{tree%2FREPOSITORY}{tree%2F$(notdir $(REPOSITORY))}g' README.md lite/README.md lite/TEACHING.md notebooks/*.ipynb

clean:
	rm -rf $(VENV) $(SITE) $(LOWEST) dist build .coverage .pytest_cache .ruff_cache .hypothesis

$(VENV)/lab.stamp: EXTRAS := lab
$(VENV)/test.stamp: EXTRAS := lab,test,browser
$(SITE)/site.stamp: EXTRAS := site
%.stamp: pyproject.toml
	$(@D)/bin/python -c "$(CHECK)" 2>/dev/null \
		|| { $(PYTHON) -c "$(CHECK)" && $(PYTHON) -m venv --clear $(@D); }
	$(@D)/bin/python -m pip install --quiet --no-compile --editable ".[$(EXTRAS)]"
	touch $@
