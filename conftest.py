"""Random numbers that do not depend on the order of tests; the code of documents as tests."""

import copy
import importlib.util
import os
import tempfile
import zlib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker for each core: more threads would only be in each other's way.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import keras
import numpy as np
import pytest
from PIL import Image
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

# Of Sphinx, not of the tests.
collect_ignore_glob = ["docs/*.py"]
# They extend packages that not every environment has.
collect_ignore = [
    f"keras_se/dense/{module}.py"
    for module, package in (("kerashub", "keras_hub"), ("kerascv", "keras_cv"))
    if importlib.util.find_spec(package) is None
]
# Some pages export by TensorFlow; the README is for everyone.
PAGES = ["README.md", *(["docs/*.md"] if keras.backend.backend() == "tensorflow" else [])]


def seed_by_name(name):
    """Seeds Python, NumPy, Keras and the backend with a hash of `name`."""
    keras.utils.set_random_seed(zlib.crc32(name.encode()))


def _fixture_name(fixture, request):
    """Module and name of a fixture, and its parameter: alike whichever test asks for it first."""
    parameter = getattr(request, "param_index", 0)
    return f"{fixture.func.__module__}::{fixture.argname}[{parameter}]"


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    """Seeds each fixture that outlives a test by its own name."""
    if fixturedef.scope != "function":
        seed_by_name(_fixture_name(fixturedef, request))
    return (yield)


@pytest.fixture(autouse=True)
def _seeded_by_test(request):
    """Every test begins with the seed of its own name, after the fixtures that outlive it."""
    path, _, name = request.node.location  # The node id has the group of the worker behind it.
    seed_by_name(f"{path}::{name}")


# What some pages add to, and later tests must not see.
REGISTRIES = (
    ("keras_se.data.sources", "SOURCES"),
    ("keras_se.export.formats", "BY_SUFFIX"),
    ("keras_se.export.formats", "FORMATS"),
    ("keras_se.recipes", "RECIPES"),
    ("keras_se.weights.sources", "SOURCES"),
)


def _enter_folder(namespace):
    """A page's blocks run one after the other in a folder with `photo.jpg` and `photos/CLASS/*`."""
    namespace["__name__"] = "__main__"
    namespace["_folder"] = tempfile.TemporaryDirectory()
    namespace["_before"] = Path.cwd()
    os.chdir(namespace["_folder"].name)
    random = np.random.default_rng(0)
    names = [f"photos/{label}/{number}.jpg" for label in ("cat", "dog") for number in range(10)]
    for name in ["photo.jpg", *names]:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (80, 96, 3), "uint8")).save(name)
    namespace["_registries"] = [
        (module, name, copy.copy(getattr(importlib.import_module(module), name)))
        for module, name in REGISTRIES
    ]
    seed_by_name("page")


def _leave_folder(namespace):
    for name, attribute, before in namespace["_registries"]:
        module = importlib.import_module(name)
        if isinstance(before, dict):
            # Other modules have the same dictionary.
            registry = getattr(module, attribute)
            registry.clear()
            registry.update(before)
        else:
            setattr(module, attribute, before)
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()
    keras.backend.clear_session()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=PAGES,
    setup=_enter_folder,
    teardown=_leave_folder,
).pytest()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The blocks of a page share names: one worker runs them."""
    for item in items:
        if hasattr(item, "example"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
