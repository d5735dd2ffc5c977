# make demo: set up and run the cortical microcircuit; make cerebellum: the mouse cerebellar cortex;
# make test: set up, check style, run the tests; make test-cluster: set up, start a SLURM on this machine (as root, on
# Debian), run the tests on it, stop it; make acceptance, make benchmark: published numbers, and what things cost;
# make docs: the documentation as a site.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
CEREBELLUM := .cerebellum
# Of the cells of the cerebellum: nestml, the package's own, where it can be compiled, or built_in.
MODEL ?= $(if $(shell command -v c++ || true),nestml,built_in)
DESCRIPTION := cortex_in_vitro$(if $(filter built_in,$(MODEL)),_built_in)
SOURCES := workflow scripts tests docs setup.py

.PHONY: demo cerebellum test test-cluster lint docs acceptance benchmark wheel setup clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml tests/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint tests/constraints.txt --editable '.[test]'
	touch $@

demo: setup
	$(BIN)/snakefold run --cores $(CORES) --quiet host reason
	@echo "report: $(CURDIR)/results/microcircuit/report.html"

# The circuit and its models are those of the package cerebellar-models, of which nothing is in this repository.
$(CEREBELLUM)/.ready: $(VENV)/.ready $(wildcard workflow/snakefold/contrib/cerebellum/*.yaml)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(CEREBELLUM) cerebellar-models==0.13.0
	cp workflow/snakefold/contrib/cerebellum/*.yaml $(CEREBELLUM)
	touch $@

cerebellum: $(CEREBELLUM)/.ready
	@$(if $(filter built_in,$(MODEL)),echo "with gif_cond_exp_multisynapse of NEST instead of the package's model in NESTML: rates will differ")
	$(BIN)/snakefold run $(CEREBELLUM)/$(DESCRIPTION).yaml --cores $(CORES) --quiet host reason
	@echo "report: $(CURDIR)/results/$(DESCRIPTION)/report.html"

lint: setup
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/snakefmt --check Snakefile workflow/rules workflow/snakefold/skeleton/Snakefile
	$(BIN)/snakemake --lint --config circuit=config/circuits/two_layers.yaml
	$(BIN)/codespell README.md CHANGELOG.md CONTRIBUTING.md docs workflow scripts config

# A site in build/docs that needs no network; a warning, as of a link that leads nowhere, is an error.
docs: setup
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs
	@echo "documentation: $(CURDIR)/build/docs/index.html"

# A package that carries the workflow, in dist/. What an earlier build left in build/ would be in it, too.
wheel: setup
	rm -rf build
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

# The tests of the workflow come first: they are few and long. Jobs wait for each other, so three workers keep two cores busy.
test: lint
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 20 --durations-min 10

# Its workers wait more than they compute.
test-cluster: setup
	$(BIN)/python tests/cluster/slurm.py start
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest --numprocesses 3 --dist worksteal --durations 0 tests/cluster; \
	code=$$?; $(BIN)/python tests/cluster/slurm.py stop; exit $$code

acceptance: $(CEREBELLUM)/.ready
	$(BIN)/pytest tests/acceptance

benchmark: $(CEREBELLUM)/.ready
	for script in $(filter-out %/cost.py,$(wildcard tests/benchmarks/*.py)); do PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python $$script; done

clean:
	rm -rf $(VENV) $(CEREBELLUM) .snakemake results build dist .pytest_cache .ruff_cache .hypothesis
