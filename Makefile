# make demo: set up and run the cortical microcircuit; make test: set up, check style, run the tests;
# make test-cluster: set up, start a SLURM on this machine (as root, on Debian), run the tests on it, stop it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
SOURCES := workflow scripts tests

.PHONY: demo test test-cluster lint acceptance benchmark setup clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml tests/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint tests/constraints.txt --editable '.[test]'
	touch $@

demo: setup
	$(BIN)/snakefold run --cores $(CORES) --quiet host reason
	@echo "report: $(CURDIR)/results/microcircuit/report.html"

lint: setup
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint --config circuit=config/circuits/two_layers.yaml
	$(BIN)/codespell README.md CHANGELOG.md CONTRIBUTING.md docs workflow scripts config

# The tests of the workflow come first: they are few and long.
test: lint
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# Its workers wait more than they compute.
test-cluster: setup
	$(BIN)/python tests/cluster/slurm.py start
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest --numprocesses 3 --dist worksteal --durations 0 tests/cluster; \
	code=$$?; $(BIN)/python tests/cluster/slurm.py stop; exit $$code

acceptance: setup
	$(BIN)/pytest tests/acceptance

benchmark: setup
	for script in tests/benchmarks/*_*.py tests/benchmarks/packing.py; do PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python $$script; done

clean:
	rm -rf $(VENV) .snakemake results .pytest_cache .ruff_cache .hypothesis
