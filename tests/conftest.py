"""What the tests share: the goldens, and which networks the fast tier takes."""

import gzip
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest

# Needs timm; doctests would import it.
collect_ignore = ["make_goldens.py"]

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
)


def run(model, images):
    """What `model` gives for `images`, as a float64 array, on any backend."""
    return keras.ops.convert_to_numpy(model(images, training=False)).astype("float64")


def each(names, fast):
    """Test parameters: all the names, those outside the fast tier marked slow.

    The tests of one network run in one process, so that it is built once.
    """
    return [
        pytest.param(
            name,
            marks=[pytest.mark.xdist_group(name), *([] if name in fast else [pytest.mark.slow])],
        )
        for name in names
    ]


def pytest_collection_modifyitems(config, items):
    """Leaves out what needs the hub, unless -m asks for it."""
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
