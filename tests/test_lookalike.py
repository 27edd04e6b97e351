"""Checkpoints that fit two networks in every name and shape go into the right one."""

import numpy as np
import pytest
from conftest import GOLDENS, run
from generated import image
from safetensors.numpy import save_file

from keras_se.applications import MobileNetV3Small, TFMobileNetV3Small, get_model
from keras_se.weights import export_state_dict
from keras_se.weights.checkpoint import Checkpoint
from keras_se.weights.lookalike import AT_ORIGIN, IN_TIMM, refuse_lookalike, refuse_named
from keras_se.weights.translate import translate

pytestmark = pytest.mark.backend_neutral

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
        (MobileNetV3Small, "TFMobileNetV3Small"),
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
    with pytest.raises(ValueError, match="build TFMobileNetV3Small,"):
        build(MobileNetV3Small, path)
    build(TFMobileNetV3Small, str(path))
    assert not caplog.records
    plain = path.rename(tmp_path / "mobilenetv3_small_035.safetensors")
    with pytest.raises(ValueError, match="build MobileNetV3Small,"):
        build(TFMobileNetV3Small, plain)


def test_the_header_that_the_zoo_writes_tells_which_it_is_for(trained, tmp_path, caplog):
    path = tmp_path / "tf_mobilenetv3" / "mine.safetensors"
    path.parent.mkdir()
    export_state_dict(trained, path)
    with pytest.raises(ValueError, match="build TFMobileNetV3Small,"):
        build(MobileNetV3Small, path)
    build(TFMobileNetV3Small, path)
    assert not caplog.records


def test_the_name_of_the_model_in_a_keras_file_tells_which_it_is_for(trained, tmp_path):
    path = tmp_path / "mine.keras"
    trained.save(path)
    with pytest.raises(ValueError, match="build TFMobileNetV3Small,"):
        build(MobileNetV3Small, path)
    build(TFMobileNetV3Small, path)


def test_what_else_a_header_says_names_no_network(trained, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_file(export_state_dict(trained), path, {"note": "a student of seresnet152d"})
    build(TFMobileNetV3Small, path)


def test_the_repository_tells_which_it_is_for(trained, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save_file(export_state_dict(trained), path)
    monkeypatch.setattr("keras_se.weights.hub.fetch", lambda source, **hashes: path)
    monkeypatch.setattr("keras_se.weights.hub.architecture", lambda source, ask: "")
    build(TFMobileNetV3Small, "hf://me/tf_mobilenetv3_small_035.mine")
    with pytest.raises(ValueError, match="build TFMobileNetV3Small,"):
        build(MobileNetV3Small, "hf://me/tf_mobilenetv3_small_035.mine")
    # Or its config.json.
    monkeypatch.setattr(
        "keras_se.weights.hub.architecture", lambda source, ask: "tf_mobilenetv3_small_100"
    )
    with pytest.raises(ValueError, match=r"hf://me/mine.*use TFMobileNetV3Small"):
        MobileNetV3Small(weights="hf://me/mine")


def test_timms_names_give_the_flavors():
    assert get_model("tf_mobilenetv3_small_100") is TFMobileNetV3Small
    assert get_model("mobilenetv3_small_100") is MobileNetV3Small
    assert get_model("tf_mobilenetv3_small_075").name == "TFMobileNetV3Small_075"


@pytest.mark.backend_neutral
def test_every_network_with_the_names_and_shapes_of_another_is_known():
    alike = {}
    for name, golden in GOLDENS.items():
        alike.setdefault(str(sorted(golden["state"])), []).append(get_model(name).name)
    pairs = [names for names in alike.values() if len(names) > 1]
    assert len(pairs) >= 4
    for name, other in pairs:
        without_width = [name.removesuffix("_075") for name in (name, other)]
        assert IN_TIMM[without_width[0]] is IN_TIMM[without_width[1]]
        assert {*without_width} <= {*IN_TIMM[without_width[0]]}


@pytest.mark.backend_neutral
def test_networks_that_messages_name_exist():
    for network in IN_TIMM | AT_ORIGIN:
        assert get_model(network).name == network


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("header", "network", "refused"),
    (
        ("pt seresnet50", "SEResNet50", False),
        ('pt {"network": "seresnet50"}', "SEResNet50V1", True),
        ("pt mobilenetv3_small_100", "TFMobileNetV3Small", True),
        ("pt tf_mobilenetv3_small_100", "TFMobileNetV3Small", False),
        ("pt legacy_seresnet50", "SEResNet50", True),
        # Gates that were put into a trained twin leave its name.
        ("pt resnet50", "SEResNet50", False),
        ("pt mine", "SEResNet50", False),
        ("", "SEResNet50", False),
        ("pt seresnet50", "MyNetwork", False),
    ),
)
def test_a_header_that_names_another_network_is_refused(header, network, refused):
    checkpoint = Checkpoint("mine.safetensors", {}, header=header)
    if refused:
        with pytest.raises(ValueError, match=rf"mine\.safetensors.*header.*{network}: use "):
            refuse_named(checkpoint, network)
    else:
        refuse_named(checkpoint, network)


@pytest.mark.backend_neutral
def test_names_of_a_project_tell_which_it_is_for(caplog):
    """PaddleClas has SEResNet50D and not SEResNetAA50D; timm's names leave it open."""
    paddle = Checkpoint("mine.pdparams", {"bb_0_0.scale.squeeze.weight": np.ones((2, 2))})
    translate(paddle, "SEResNet50D", "mine.pdparams")
    assert not caplog.records
    timm = Checkpoint("mine.pth", {"layer1.0.se.fc1.weight": np.ones((2, 2))})
    translate(timm, "SEResNet50D", "mine.pth")
    assert "SEResNetAA50D" in caplog.text
    named = Checkpoint("seresnetaa50d.pth", timm.values)
    with pytest.raises(ValueError, match="build SEResNetAA50D,"):
        translate(named, "SEResNet50D", "seresnetaa50d.pth")


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("file", "network", "other"),
    (
        ("mobilenetv3_large_tv.safetensors", "MobileNetV3Large", "MobileNetV3LargeTV"),
        ("mobilenetv3_large_tv.safetensors", "TFMobileNetV3Large", "MobileNetV3LargeTV"),
        ("tf_regnety_002.safetensors", "RegNetY002", "TFRegNetY002"),
        ("regnety_002.safetensors", "TFRegNetY002", "RegNetY002"),
    ),
)
def test_the_networks_of_other_libraries_are_told_apart(file, network, other, caplog):
    with pytest.raises(ValueError, match=f"is for {other} by"):
        refuse_lookalike(Checkpoint(file, {}), network)
    refuse_lookalike(Checkpoint(file, {}), other)
    assert not caplog.records
    refuse_lookalike(Checkpoint("mine.safetensors", {}), network)
    assert other in caplog.text
