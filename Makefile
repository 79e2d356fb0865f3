# make demo   sets up, trains Lordre on the embedded data set, evaluates it and draws pictures
# make test   sets up, runs the tests
# make test-reliability   the long ones: killed runs, several machines, many hostile data sets
# Variables: PYTHON (python3), VENV (.venv), STACK (openmmlab or onedl), ARGS (for pytest)
PYTHON ?= python3
STACK ?= openmmlab
ifeq ($(STACK),openmmlab)
VENV ?= .venv
else
VENV ?= .venv-$(STACK)
endif
export PYTHON STACK VENV

.PHONY: setup test test-reliability demo lint clean

setup:
	@bash tools/setup.sh

# one process a core, one thread each: the models are too small for more threads
test: setup
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(ARGS)

test-reliability: setup
	$(VENV)/bin/python -m pytest tests -m long --timeout 7200 $(ARGS)

demo: setup
	$(VENV)/bin/python tools/quickstart.py

lint: setup
	$(VENV)/bin/ruff check .

clean:
	rm -rf build dist work_dirs/demo *.egg-info
