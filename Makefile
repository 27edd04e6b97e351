# Two commands do everything on a fresh clone: make demo, make test. Both may be run again.

PYTHON ?= python3
VENV ?= .venv
# What the demo changes of the recipe, such as DEMO="--set epochs=3" for a short one.
DEMO ?=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
NEEDS := setup.cfg pyproject.toml constraints.txt
PIP := -m pip install --quiet --constraint constraints.txt
EVERYTHING := ".[tensorflow,train,export,int8,serve,detection,keras-cv,dev,docs]"
# What the tests need in an environment without TensorFlow: keras-hub would bring it.
BESIDE_A_BACKEND := scikit-learn matplotlib onnx onnxruntime openvino pytest pytest-xdist sybil
TESTS := -m pytest -n 2 --dist loadgroup
FAST := $(TESTS) -m "not slow"
# What the other backends could get wrong.
ON_BACKENDS := $(TESTS) -m "not slow and not backend_neutral"

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test test-fast test-large test-browser test-ray test-jax test-torch test-nightly gpu-report fuzz \
	lint docs package clean

demo: $(INSTALLED)
	KERAS_BACKEND=tensorflow $(BIN)/keras-se train digits --out runs/digits --overwrite $(DEMO)

test: $(INSTALLED)
	KERAS_BACKEND=tensorflow $(BIN)/python $(TESTS)

test-fast: $(INSTALLED)
	KERAS_BACKEND=tensorflow $(BIN)/python $(FAST)

# By hand, before a release: what `test` shows with a few networks, with all; and the GPU's report.
test-large: $(INSTALLED) .venv-jax/installed
	KERAS_BACKEND=tensorflow $(BIN)/python $(TESTS) -m large
	KERAS_BACKEND=jax .venv-jax/bin/python -m pytest -n 0 -m large tests/test_gpu_report.py \
		tests/test_devices.py

# By hand, as the page of keras-se explore changes; needs Chromium: apt-get install chromium, or its
# path as CHROMIUM. SCREENSHOTS is a folder for pictures of the page.
test-browser: .venv-browser/installed
	KERAS_BACKEND=tensorflow .venv-browser/bin/python -m pytest -n 0 -m browser \
		tests/test_explore_browser.py

# By hand, as prediction on clusters changes: Ray is large, and starts a cluster for each test.
test-ray: .venv-ray/installed
	KERAS_BACKEND=jax .venv-ray/bin/python -m pytest -n 0 -m ray tests/test_predict_ray.py

# The other backends have environments of their own, without tensorflow.
test-jax: .venv-jax/installed
	# Compiling takes longer than running here: as little as can be, and once for all processes.
	KERAS_BACKEND=jax JAX_DISABLE_MOST_OPTIMIZATIONS=1 \
		JAX_COMPILATION_CACHE_DIR="$(CURDIR)/.venv-jax/compiled" \
		JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 .venv-jax/bin/python $(ON_BACKENDS)

test-torch: .venv-torch/installed
	KERAS_BACKEND=torch .venv-torch/bin/python $(ON_BACKENDS)

# On a machine with a GPU: GPU="--pack PACK", or what else benchmarks/gpu.py takes.
gpu-report:
	$(PYTHON) benchmarks/gpu.py --out runs/gpu $(GPU)

# By hand: damaged files of all formats. MUTANTS="--mutants 1000" reads fewer.
MUTANTS ?=
fuzz: $(INSTALLED)
	KERAS_BACKEND=tensorflow $(BIN)/python tests/fuzz.py $(MUTANTS)

# By hand, before the pin of keras in setup.cfg moves: what would break with the next version?
test-nightly:
	$(PYTHON) -m venv .venv-nightly
	.venv-nightly/bin/python $(PIP) --editable $(EVERYTHING)
	.venv-nightly/bin/python -m pip uninstall --quiet --yes keras
	.venv-nightly/bin/python -m pip install --quiet --upgrade --pre keras-nightly
	KERAS_BACKEND=tensorflow .venv-nightly/bin/python $(FAST)

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# The pages, in docs/_build/html. Readers' browsers ask nobody but the server of the pages.
docs: $(INSTALLED)
	KERAS_BACKEND=tensorflow $(BIN)/python -m sphinx -W --keep-going --quiet docs docs/_build/html
	$(BIN)/python docs/check_offline.py docs/_build/html

# Wheel and sdist, in dist/, each tried in an environment that has nothing but it and JAX.
package: $(INSTALLED)
	rm -rf dist .venv-package
	$(BIN)/python -m build --outdir dist > /dev/null
	$(PYTHON) -m venv .venv-package
	.venv-package/bin/python $(PIP) "$$(ls "$(CURDIR)"/dist/*.whl)[jax]"
	.venv-package/bin/python -I tests/try_package.py
	.venv-package/bin/python -m pip install --quiet --no-deps --force-reinstall dist/*.tar.gz
	.venv-package/bin/python -I tests/try_package.py

$(INSTALLED): $(NEEDS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --editable $(EVERYTHING)
	touch $@

.venv-jax/installed: $(NEEDS)
	$(PYTHON) -m venv .venv-jax
	.venv-jax/bin/python $(PIP) --editable ".[jax]" $(BESIDE_A_BACKEND)
	touch $@

.venv-torch/installed: $(NEEDS)
	$(PYTHON) -m venv .venv-torch
	.venv-torch/bin/python -m pip install --quiet torch==2.13.0
	.venv-torch/bin/python $(PIP) --editable . $(BESIDE_A_BACKEND)
	touch $@

.venv-browser/installed: $(NEEDS)
	$(PYTHON) -m venv .venv-browser
	.venv-browser/bin/python $(PIP) --editable ".[tensorflow,explore]" playwright pytest \
		pytest-xdist sybil
	touch $@

.venv-ray/installed: $(NEEDS)
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python $(PIP) --editable ".[jax,ray]" pytest pytest-xdist sybil
	touch $@

clean:
	rm -rf .venv .venv-jax .venv-torch .venv-nightly .venv-browser .venv-ray .venv-package build dist \
		docs/_build runs
