# Two commands for a newcomer: `make demo` and `make test`. Both make their own environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Those that need no scans; the others are called with a folder of them.
BENCHMARKS := detection memory mixture postprocessing preparation regions report training

.PHONY: demo test check lint types imports format bench cases docs release-check clean

demo: $(READY)
	$(BIN)/anomri demo -o demo

# One worker per core already: a second thread in each would only wait for the others. A worker
# that has finished takes tests from the others.
test: export OMP_NUM_THREADS = 1
test: $(READY)
	$(BIN)/pytest -n auto --dist worksteal -q

check: lint types imports

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.performance
	set -e; for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py; done

# The site; warnings are errors, and the examples on its pages are run.
docs: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	$(BIN)/sphinx-build -q -W --keep-going -d docs/_build/doctrees -b html docs docs/_build/html
	$(BIN)/sphinx-build -q -W --keep-going -d docs/_build/doctrees -b doctest docs docs/_build/doctest
	@echo docs/_build/html/index.html

# What a release must show; `make release-check SCAN=FLAIR.nii.gz` detects in a scan of yours, too.
release-check:
	.ci/release-check $(SCAN)

# Scripts of odd inputs that are not part of the repository, such as `make cases CASES=FOLDER`.
SCRATCH ?= /tmp/anomri-cases
cases: $(READY)
	$(BIN)/python benchmarks/cases.py "$(or $(CASES),no-cases)" "$(SCRATCH)" $(if $(ONLY),--only $(ONLY))

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test]"
	touch $(READY)

clean:
	rm -rf $(VENV) demo docs/_build
