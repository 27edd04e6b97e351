# Two commands do everything on a fresh clone: make demo, make test. Both may be run again.

PYTHON ?= python3
VENV ?= .venv
# What the demo changes of the recipe, such as DEMO="--set epochs=3" for a short one.
DEMO ?=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
TESTS := -m pytest -n 2 --dist loadgroup
FAST := $(TESTS) -m "not slow"

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test test-fast test-jax test-torch lint clean

demo: $(INSTALLED)
	KERAS_BACKEND=tensorflow $(BIN)/keras-se train digits --out runs/digits --overwrite $(DEMO)

test: $(INSTALLED)
	KERAS_BACKEND=tensorflow $(BIN)/python $(TESTS)

test-fast: $(INSTALLED)
	KERAS_BACKEND=tensorflow $(BIN)/python $(FAST)

# The other backends have environments of their own, without tensorflow.
test-jax: .venv-jax/installed
	# Compiling takes longer than running here: as little as can be, and once for all processes.
	KERAS_BACKEND=jax JAX_DISABLE_MOST_OPTIMIZATIONS=1 \
		JAX_COMPILATION_CACHE_DIR="$(CURDIR)/.venv-jax/compiled" \
		JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 .venv-jax/bin/python $(FAST)

test-torch: .venv-torch/installed
	KERAS_BACKEND=torch .venv-torch/bin/python $(FAST)

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable \
		".[train,export,serve,dev]"
	touch $@

.venv-jax/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-jax
	.venv-jax/bin/python -m pip install --quiet --constraint constraints.txt jax $(WITHOUT_TENSORFLOW)
	.venv-jax/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

.venv-torch/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-torch
	.venv-torch/bin/python -m pip install --quiet torch==2.13.0
	.venv-torch/bin/python -m pip install --quiet --constraint constraints.txt $(WITHOUT_TENSORFLOW)
	.venv-torch/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

WITHOUT_TENSORFLOW := keras h5py huggingface_hub safetensors pillow scikit-learn matplotlib \
	onnx onnxruntime openvino pytest pytest-xdist

clean:
	rm -rf .venv .venv-jax .venv-torch runs
