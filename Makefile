# make demo   sets up, trains Lordre on the embedded data set, evaluates it and draws pictures
# make test   sets up, runs the tests; make test DEVICE=cuda runs them on a GPU
# make gpu    on a machine with a GPU: the tests there, then benchmarks/gpu.py
# make test-reliability   the long ones: killed runs, several machines, many hostile data sets
# make test-browser   pages in Chromium, which it installs on Debian if it is missing
# Variables: PYTHON (python3), VENV (.venv), STACK (openmmlab or onedl), ARGS (for pytest),
# DEVICE (cpu or cuda); tools/setup.sh has more
PYTHON ?= python3
STACK ?= openmmlab
ifneq (,$(filter gpu,$(MAKECMDGOALS)))
override DEVICE := cuda
endif
DEVICE ?= cpu
suffix := $(if $(filter cuda,$(DEVICE)),-cuda)$(if $(filter-out openmmlab,$(STACK)),-$(STACK))
VENV ?= .venv$(suffix)
export PYTHON STACK VENV DEVICE

.PHONY: setup test test-reliability test-browser gpu demo lint clean

setup:
	@bash tools/setup.sh

# one process a core, one thread each: the models are too small for more threads
pytest = OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile

test: setup
	$(pytest) $(ARGS)

test-reliability: setup
	$(VENV)/bin/python -m pytest tests -m long --timeout 7200 $(ARGS)

test-browser: setup
	@bash tools/browser.sh
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest tests/browser -m browser $(ARGS)

# the measurements also where a test fails, and then the tests' status
gpu: setup
	@status=0; $(pytest) $(ARGS) || status=$$?; \
	$(VENV)/bin/python benchmarks/gpu.py --out gpu || exit 1; exit $$status

demo: setup
	$(VENV)/bin/python tools/quickstart.py

lint: setup
	$(VENV)/bin/ruff check .

clean:
	rm -rf build dist work_dirs/demo *.egg-info
