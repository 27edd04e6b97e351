"""The report of a GPU runs through at its smallest size, on a CPU, with a part that fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

GPU = Path(__file__).parent.parent / "benchmarks" / "gpu.py"
# The profile is JAX's.
pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="runs on JAX"),
    pytest.mark.large,
]


def report_of(out, *arguments):
    """Runs the command and reads the report."""
    words = [sys.executable, GPU, "--out", out, "--smoke", *arguments]
    subprocess.run(words, check=True, capture_output=True, env=os.environ | {"MPLBACKEND": "agg"})
    return json.loads((out / "report.json").read_text()), (out / "report.md").read_text()


def test_a_part_that_fails_is_reported_and_the_others_go_on(tmp_path):
    first = ("parity", "train", "speed", "profile", "decode")
    report, page = report_of(tmp_path, "--parts", *first, "--data", "array:missing.npz")
    failed = report["ended"]["train"]
    assert len(failed) == 2 and all("missing.npz" in status for status in failed.values())
    assert "missing.npz" in page
    (row,) = report["results"]["parity"]
    assert row["agrees"] and row["exact"] < 1e-5
    for task in ("train", "predict"):
        rates = report["results"][f"speed_{task}"]["images per second"]
        assert all(rate > 0 for *_, values in rates for rate in values)
        assert {role for _, role, *_ in rates} == {"SE", "plain"}
    profile = report["results"]["profile"]
    assert 0 < profile["milliseconds"]["SE"] <= profile["kernels_with_se"] < profile["all_kernels"]
    assert set(report["results"]["decode"]["images per second"]) > {"keras_se, threads", "Pillow"}
    # What is complete is not done again, and what failed is.
    before = (tmp_path / "parity.json").stat().st_mtime_ns
    report, page = report_of(tmp_path, "--parts", "parity", "train", "ablate", "--data", "fake")
    assert (tmp_path / "parity.json").stat().st_mtime_ns == before
    assert set(report["ended"]["train"].values()) == {"complete"}
    assert {run["network"] for run in report["trainings"].values()} == {"SEResNet20", "ResNet20"}
    assert "missing.npz" not in page
    assert [result["axis"] for result in report["ablations"]] == ["ratio"]
