"""Checkpoints that fit two networks in every name and shape go into the right one."""

import numpy as np
import pytest
from conftest import run
from generated import image
from safetensors.numpy import save_file

from keras_se.applications import MobileNetV3Small, TFMobileNetV3Small, get_model
from keras_se.weights import export_state_dict

SMALL = {"alpha": 0.35, "input_shape": (64, 64, 3), "classes": 4}


def build(network, weights=None):
    return network(weights=weights, classifier_activation=None, **SMALL)


@pytest.fixture(scope="module")
def trained():
    return build(TFMobileNetV3Small)


def test_both_have_the_same_names_and_shapes_and_compute_other_numbers(trained, tmp_path, caplog):
    path = tmp_path / "mine.safetensors"
    save_file(export_state_dict(trained), path)
    for network, other in (
        (MobileNetV3Small, "TFMobileNetV3Small_035"),
        (TFMobileNetV3Small, "V3"),
    ):
        caplog.clear()
        model = build(network, path)
        (message,) = (record.getMessage() for record in caplog.records)
        assert "mine.safetensors" in message and other in message
        same = np.array_equal(
            run(model, image(64, 64), exactly=True), run(trained, image(64, 64), exactly=True)
        )
        assert same == (network is TFMobileNetV3Small)


@pytest.mark.parametrize(
    "name",
    ("tf_mobilenetv3_small_035.safetensors", "TFMobileNetV3Small-mine.safetensors"),
)
def test_the_name_of_the_file_tells_which_it_is_for(trained, tmp_path, caplog, name):
    path = tmp_path / name
    save_file(export_state_dict(trained), path)
    with pytest.raises(ValueError, match="TFMobileNetV3Small_035"):
        build(MobileNetV3Small, path)
    build(TFMobileNetV3Small, str(path))
    assert not caplog.records
    plain = path.rename(tmp_path / "mobilenetv3_small_035.safetensors")
    with pytest.raises(ValueError, match=r"is for MobileNetV3Small_035"):
        build(TFMobileNetV3Small, plain)


def test_the_header_that_the_zoo_writes_tells_which_it_is_for(trained, tmp_path, caplog):
    path = tmp_path / "tf_mobilenetv3" / "mine.safetensors"
    path.parent.mkdir()
    export_state_dict(trained, path)
    with pytest.raises(ValueError, match="TFMobileNetV3Small_035"):
        build(MobileNetV3Small, path)
    build(TFMobileNetV3Small, path)
    assert not caplog.records


def test_the_repository_tells_which_it_is_for(trained, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save_file(export_state_dict(trained), path)
    monkeypatch.setattr("keras_se.weights.hub.fetch", lambda source, **hashes: path)
    build(TFMobileNetV3Small, "hf://me/tf_mobilenetv3_small_035.mine")
    with pytest.raises(ValueError, match="TFMobileNetV3Small_035"):
        build(MobileNetV3Small, "hf://me/tf_mobilenetv3_small_035.mine")


def test_timms_names_give_the_flavors():
    assert get_model("tf_mobilenetv3_small_100") is TFMobileNetV3Small
    assert get_model("mobilenetv3_small_100") is MobileNetV3Small
    assert get_model("tf_mobilenetv3_small_075").name == "TFMobileNetV3Small_075"
