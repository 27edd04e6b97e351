"""What the tests share: the goldens, and which networks the fast tier takes."""

import contextlib
import gc
import gzip
import importlib.util
import json
import socket
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from tiny import SMALL

from keras_se import applications
from keras_se.applications import get_model
from keras_se.data import load
from keras_se.graph.complexity import complexity
from keras_se.layers import SqueezeExcite

# What is imported stays: to look through it for garbage again and again takes a tenth of the time.
gc.collect()
gc.freeze()

# They need timm and others; doctests would import them.
collect_ignore = ["try_package.py", "make_goldens.py"]
collect_ignore += [
    f"make_{library}_goldens.py" for library in ("keras2", "torchvision", "paddle", "projects")
]

GOLDENS = json.loads(gzip.decompress((Path(__file__).parent / "goldens.json.gz").read_bytes()))
# The smallest of each family, one plain twin among them: these run on every backend.
FAST = (
    "resnet18",
    "seresnet18",
    "seresnext26t_32x4d",
    "seresnetaa50d",
    "seresnext26ts",
    "legacy_seresnet18",
    "legacy_seresnext26_32x4d",
    "inception_v3",
    "mobilenetv3_small_050",
    "densenet121",
    "resnetrs50",
    "regnety_002",
    "tf_mobilenetv3_small_075",
    "eca_resnext26ts",
)
# Deeper or wider than one of the others.
LARGE = (
    *(f"resnetrs{depth}" for depth in (101, 152, 200, 270, 350, 420)),
    *(name for name in GOLDENS if name.startswith("regnety_") and name not in FAST),
    *("regnetv_040", "regnetv_064", "regnetz_040", "regnetz_040_h"),
    *("mobilenetv3_large_150d", "mobilenetv3_rw", "tf_mobilenetv3_large_100"),
    *("tf_mobilenetv3_large_075", "tf_mobilenetv3_small_100"),
    *("ecaresnet26t", "ecaresnet50t", "ecaresnet50d", "ecaresnet101d", "ecaresnet269d"),
    *("ecaresnetlight", "eca_resnet33ts"),
)
# Too large to run: timm's names and shapes are all that is known of them.
ABSTRACT = tuple(name for name, golden in GOLDENS.items() if not golden["logits"])

# The rows whose network with SE has a golden.
IN_GOLDENS = {row.name for row in map(get_model, GOLDENS) if not row.is_twin}

# Keras's own, on JAX and on PyTorch.
WARNINGS_OF_KERAS = [
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype:UserWarning"),
    pytest.mark.filterwarnings("ignore:Tensor.T is deprecated:UserWarning"),
]


def assert_costs(model, known, size):
    """A network with SE costs what the package's file says, and its twin all but the gates."""
    layers = {layer.name: layer for layer in model.layers}
    cost = complexity(model, (size, size, 3))
    gates = [entry for entry in cost.layers if isinstance(layers[entry.layer], SqueezeExcite)]
    assert (cost.parameters, cost.multiply_adds) == (known["parameters"], known["multiply_adds"])
    parameters = cost.parameters - sum(entry.parameters for entry in gates)
    products = cost.multiply_adds - sum(entry.multiply_adds for entry in gates)
    assert (parameters, products) == (known["twin_parameters"], known["twin_multiply_adds"])


@contextlib.contextmanager
def keras_setting(**values):
    """Settings of `keras.config` for the block, such as `dtype_policy="mixed_bfloat16"`."""
    before = {name: getattr(keras.config, name)() for name in values}
    try:
        for name, value in values.items():
            getattr(keras.config, f"set_{name}")(value)
        yield
    finally:
        for name, value in before.items():
            getattr(keras.config, f"set_{name}")(value)


def saved_weights(path):
    """The weights of a network in a file of Keras."""
    return keras.saving.load_model(path, compile=False).get_weights()


def assert_same_weights(file, other):
    """Those of two files of Keras, of runs that computed the same in other ways."""
    for first, second in zip(saved_weights(file), saved_weights(other), strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6)


def assert_same_run(run, other):
    """The same weights, last and best, and the same numbers for every epoch."""
    for file in ("model.keras", "best.keras"):
        assert_same_weights(run / file, other / file)
    heads, histories = zip(*(read_history(out) for out in (run, other)), strict=True)
    assert heads[0] == heads[1]
    np.testing.assert_allclose(*histories, rtol=3e-6, atol=1e-6)


def read_history(out):
    """The names of what the history of a run has, and its numbers, `(epoch, name)`."""
    head, *lines = (out / "history.csv").read_text().splitlines()
    return head.split(","), np.loadtxt(lines, delimiter=",", ndmin=2)


def load_script(path):
    """The module in a file that is no part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def picture(path, color, size=(12, 12)):
    """An image file of one color."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path, quality=95)
    return path


def infer(model, inputs, exactly=False):
    """What `model`, or a layer, gives for `inputs`, on any backend.

    `exactly` makes equal layers of different models give equal bits.
    """
    jax = keras.backend.backend() == "jax"
    if jax and isinstance(model, keras.Model) and not exactly:
        # To compile the whole takes less time than to compile operation after operation.
        return model.predict_on_batch(inputs)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(inputs, training=False))


def run(model, images, exactly=False):
    """The one output of `model` for `images`, as a float64 array; see `infer`."""
    return infer(model, images, exactly).astype("float64")


def each(names, fast, large=()):
    """Test parameters: all the names, those outside the fast tier marked slow, some of them large.

    The tests of one network run in one process, so that it is built once.
    """
    for name in names:
        marks = [pytest.mark.xdist_group(name)]
        marks += [] if name in fast else [pytest.mark.slow]
        yield pytest.param(name, marks=[*marks, *([pytest.mark.large] if name in large else [])])


def pytest_collection_modifyitems(config, items):
    """Leaves out what needs the hub or a browser or repeats for long, unless -m asks for it."""
    for tier in ("large", "browser", "ray"):
        if tier not in config.option.markexpr:
            left_out = [item for item in items if item.get_closest_marker(tier)]
            items[:] = [item for item in items if item not in left_out]
            config.hook.pytest_deselected(items=left_out)
    if "network" not in config.option.markexpr:
        skip = pytest.mark.skip(reason="needs the Hugging Face hub: pytest -m network")
        for item in items:
            if item.get_closest_marker("network"):
                item.add_marker(skip)


@pytest.fixture(autouse=True, scope="module")
def _free_memory():
    """Networks of one module do not stay for the next."""
    yield
    keras.backend.clear_session(free_memory=True)


@pytest.fixture(scope="module")
def tiny_network():
    """The tiny network is in the zoo as long as these tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applications, "SETiny", SMALL, raising=False)
        yield


@pytest.fixture(scope="module")
def fake():
    """Images of eight pixels."""
    return load("fake", size=8)


@pytest.fixture
def coordinator():
    """HOST:PORT at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
