"""The studies run, at their smallest size, and their arithmetic is right."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

STUDIES = Path(__file__).parent.parent / "applications"


def study(name):
    spec = importlib.util.spec_from_file_location(name, STUDIES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_study_is_in_the_readme():
    readme = (STUDIES / "README.md").read_text()
    for path in STUDIES.glob("*.py"):
        assert f"`{path.name}`" in readme


def test_share_of_the_variance_between_classes():
    share = study("excitations").share_between_classes
    labels = np.array([0, 0, 1, 1])
    assert share(np.array([[1.0], [1.0], [3.0], [3.0]]), labels) == 1.0
    assert share(np.array([[1.0], [3.0], [1.0], [3.0]]), labels) == 0.0
    # Between classes 1 apart from the mean, within 0.5: 1 / (1 + 0.25).
    assert share(np.array([[0.5], [1.5], [2.5], [3.5]]), labels) == pytest.approx(0.8)
    assert share(np.ones((4, 2)), labels) == 0.0


@pytest.mark.slow
def test_seeds_then_excitations(tmp_path, capsys):
    study("digits_seeds").main(["--out", str(tmp_path), "--seeds", "2", "--set", "epochs=1"])
    lines = capsys.readouterr().out.splitlines()[-2:]
    for line in lines:
        mean, worst = map(float, re.search(r"accuracy ([\d.]+).*worst ([\d.]+)", line).groups())
        assert worst <= mean <= 100
    study("excitations").main([str(tmp_path / "seed0" / "model.keras")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert all(0 < float(line.split()[2]) < 1 for line in lines[1:])
