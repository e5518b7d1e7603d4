# make train · test · test-gpu · quick · long · check · bench · gpu: each sets itself up. ARGS="…" passes flags on: make train ARGS="--steps 200"
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

# Which CuPy: by the CUDA version that the driver names; none without a driver.
CUDA  := $(shell nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: *\([0-9]*\).*/\1/p' | head -n 1)
GPU   := $(if $(CUDA),$(if $(filter 12,$(CUDA)),cuda12,$(if $(filter 1,$(shell test $(CUDA) -ge 13 && echo 1)),cuda13)))
comma := ,
EXTRA := cpu$(if $(GPU),$(comma)$(GPU))

.PHONY: train test test-gpu quick long check bench gpu gpu-tests clean
.DELETE_ON_ERROR:

train: $(VENV)/ready-$(EXTRA)
	$(BIN)/python -m dcgan_cupy.train $(ARGS)

test: $(VENV)/ready-test-$(or $(GPU),nvrtc)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

# Under a minute: what a changed kernel, layer or trainer breaks first (tests/quick.txt names the files).
quick: $(VENV)/ready-test-$(or $(GPU),nvrtc)
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n auto --dist worksteal -x -k "not stand-in" $(ARGS) $$(sed 's/#.*//' tests/quick.txt)

# All tests of the GPU, on its stand-in where there is none: a quarter of an hour. STAND_IN_ORDER="reversed apart" turns
# the order of blocks, warps and lanes around, and lets each lane run alone.
test-gpu: $(VENV)/ready-test-$(or $(GPU),nvrtc)
	$(BIN)/python -m pytest -n auto --dist worksteal --only-gpu $(ARGS)

# Fuzzing, kills, mutations: half an hour.
long: $(VENV)/ready-test-$(or $(GPU),nvrtc)
	$(BIN)/python -m pytest -n auto --dist worksteal -m long $(ARGS)

check: $(VENV)/ready-cpu
	$(BIN)/python -m dcgan_cupy.inspect --all $(ARGS)

bench: $(VENV)/ready-bench-$(or $(GPU),nogpu)
	$(BIN)/python -m bench $(ARGS)

# With the Python that is there if it has what the GPU's tests need, so with no network; else with one of its own.
NEEDED := numpy rich PIL cupy pytest
gpu:
	@if $(PYTHON) -c "import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, '$(NEEDED)'.split())))"; \
	then $(MAKE) --no-print-directory gpu-tests RUN=$(PYTHON); \
	else $(MAKE) --no-print-directory $(VENV)/ready-test-$(or $(GPU),cuda13) && \
	     $(MAKE) --no-print-directory gpu-tests RUN=$(BIN)/python; fi

gpu-tests:
	$(RUN) -c "from dcgan_cupy import device; print(device.get('gpu').description)"
	$(RUN) -m pytest --only-gpu $(ARGS)

# A marker file says what is installed; a changed pyproject.toml installs again.
$(VENV)/ready-test-%: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable ".[cpu,test,$*]"
	@touch $@

$(VENV)/ready-bench-%: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable ".[cpu,bench$(if $(GPU),$(comma)$(GPU))]"
	@touch $@

$(VENV)/ready-%: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable ".[$*]"
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: PYTHON: need Python 3.11 or newer, got " + sys.version.split()[0] + " (make PYTHON=python3.12 …)")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "make: $(PYTHON): need the venv module (Debian: apt install python3-venv)" >&2; exit 1; }

clean:
	rm -rf $(VENV) build dist
