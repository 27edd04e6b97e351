"""Tests draw the same random numbers in any order: two runs of a small suite, one reversed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

ROOT = Path(__file__).parent.parent
SUITE = """
import json, random
import keras, numpy as np, pytest

def draw():
    kernel = keras.layers.Dense(2)
    kernel.build((1, 1))
    tensors = keras.random.uniform((1,)), kernel.kernel
    return [random.random(), np.random.rand(), *(float(np.ravel(t)[0]) for t in tensors)]

@pytest.fixture(scope="module")
def shared():
    return draw()

@pytest.fixture(scope="session", params=["a", "b"])
def each(request):
    return draw()

@pytest.mark.parametrize("number", range(3))
def test_numbers(number, record_property):
    record_property("drawn", json.dumps(draw()))

def test_shared(shared, record_property):
    record_property("drawn", json.dumps([*shared, *draw()]))

def test_each(each, record_property):
    record_property("drawn", json.dumps([*each, *draw()]))
"""
REPORT = """
import os

def pytest_runtest_logreport(report):
    if report.when == "call":
        with open(os.environ["REPORT"], "a") as file:
            file.write(f"{report.nodeid}\\t{dict(report.user_properties)['drawn']}\\n")
"""
REVERSED = """
def pytest_collection_modifyitems(items):
    items.reverse()
"""


def drawn(folder, order=""):
    """What each test of the suite draws, by the name of the test."""
    folder.mkdir()
    (folder / "conftest.py").write_text((ROOT / "conftest.py").read_text() + REPORT + order)
    (folder / "test_suite.py").write_text(SUITE)
    report = folder / "report"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    environment = {"KERAS_BACKEND": keras.backend.backend(), "REPORT": str(report)}
    subprocess.run(command, check=True, env={**os.environ, **environment}, cwd=folder)
    lines = (line.split("\t") for line in report.read_text().splitlines())
    return {name: json.loads(numbers) for name, numbers in lines}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    return drawn(folder / "forward"), drawn(folder / "backward", REVERSED)


def test_order_changes_no_number(runs):
    forward, backward = runs
    assert len(forward) == 6
    assert list(forward) != list(backward)
    assert forward == backward


def test_every_test_and_fixture_has_numbers_of_its_own(runs):
    numbers = [number for numbers in runs[0].values() for number in numbers]
    assert len(numbers) == len(set(numbers)) == 3 * 4 + 3 * 8
