"""Random numbers of the tests: the same in every order and in every worker."""

import os
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker for each core: more threads would only be in each other's way.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import keras
import pytest


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
