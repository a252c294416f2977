# Needs Python 3.11 to 3.13 and make, nothing else. `make PYTHON=python3.12 setup` chooses the Python.

PYTHON ?= python3
VENV ?= .venv

bin := $(VENV)/bin
pip := $(bin)/python -m pip --disable-pip-version-check install --quiet --no-compile
installed := $(VENV)/installed
sources := src tests examples benchmarks
# Byte code is made for these only: all of it would be 0.3 GB more, and none would cost the first run its seconds.
warm := import lightgbm, onnxruntime, polars, scipy.sparse, sklearn.linear_model, torch.export, torch.onnx

# The fast unit tests: no race, no training of more than a moment.
quick := architecture core dataset graph metrics stats test_config.py test_import.py test_tiny.py

.PHONY: help setup demo test tiny golden lint quick check docs schemas bench clean

help:
	@echo "make setup   a virtual environment with Leadline and its tools, in $(VENV)"
	@echo "make demo    a whole run on 5,000 handwritten digits, offline, under a minute"
	@echo "make tiny    a whole run in seconds: run it before every commit"
	@echo "make test    every test"
	@echo "make golden  write the first losses of each architecture anew, where they were meant to change"
	@echo "make quick   lint, format, types, and the fast tests: under 3 minutes"
	@echo "make check   lint, format, types, and every test: the gate"
	@echo "make docs    run what README shows, and write its outputs anew: on a machine that does nothing else"
	@echo "make schemas write the JSON Schemas of result.json and of a model's contract into docs/schemas"
	@echo "make bench   measure Leadline against its peers"
	@echo "make clean   remove all that these made, but no run"

setup: $(installed)

# The package comes after the lock and without its dependencies: their ranges would fetch the newest of everything.
$(installed): pyproject.toml requirements/cpu.txt requirements/bodies.txt
	$(PYTHON) -m venv $(VENV)
	$(pip) --requirement requirements/cpu.txt
	$(pip) --no-deps --requirement requirements/bodies.txt
	$(pip) --no-deps --no-build-isolation --editable .
	@PYTHONDONTWRITEBYTECODE= $(bin)/python -c "$(warm)"
	@touch $@

demo: setup
	$(bin)/leadline demo

test: setup
	$(bin)/python -m pytest

tiny: setup
	$(bin)/python -m pytest -q tests/test_tiny.py

golden: setup
	LEADLINE_GOLDEN=write $(bin)/python -m pytest -q tests/golden

lint: setup
	$(bin)/ruff check $(sources)
	$(bin)/ruff format --check $(sources)
	$(bin)/mypy

quick: lint
	$(bin)/python -m pytest -q $(addprefix tests/,$(quick))

check: lint
	$(MAKE) test

docs: setup
	$(bin)/python benchmarks/shown.py

schemas: setup
	$(bin)/python benchmarks/schemas.py

# A benchmark that falls short of a figure ends with 1, and the next one is run all the same.
bench: setup
	-$(bin)/python benchmarks/journey.py
	-$(bin)/python benchmarks/kinds.py
	-$(bin)/python benchmarks/strangers.py
	-$(bin)/python benchmarks/plants.py
	-$(bin)/python benchmarks/sizes.py
	-$(bin)/python benchmarks/train.py
	-$(bin)/python benchmarks/devices.py
	-$(bin)/python benchmarks/evidence.py
	-$(bin)/python benchmarks/damage.py
	-$(bin)/python benchmarks/resume.py
	-$(bin)/python benchmarks/busy.py
	-$(bin)/python benchmarks/wide.py
	-$(bin)/python benchmarks/readers.py
	-$(bin)/python benchmarks/fuzz_types.py
	-$(bin)/python benchmarks/explain.py
	-$(bin)/python benchmarks/shrink.py
	-$(bin)/python benchmarks/shrink_students.py
	-$(bin)/python benchmarks/transfer.py
	-$(bin)/python benchmarks/pretrained_text.py
	-$(bin)/python benchmarks/pretrained_media.py
	-$(bin)/python benchmarks/sides.py

clean:
	rm -rf $(VENV) build dist src/leadline.egg-info .pytest_cache .mypy_cache .ruff_cache
	find $(wildcard $(sources)) -name __pycache__ -prune -exec rm -rf {} +
