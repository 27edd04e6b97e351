"""Files of Keras 2's own networks and of torchvision's give the logits of those libraries."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import each, run
from generated import image, state_dict, tensor
from keras2_files import layers, names, write_keras2
from test_torch_file import Writer

from keras_se.applications import get_model
from keras_se.weights import WEIGHTS, export_state_dict, load_state_dict
from keras_se.weights.checkpoint import Checkpoint, read_checkpoint
from keras_se.weights.translate import translate

# The graphs are those of test_parity.py but for an epsilon and paddings that it has, too.
pytestmark = pytest.mark.backend_neutral
FOLDER = Path(__file__).parent
KERAS_2, TORCHVISION = (
    json.loads(gzip.decompress((FOLDER / f"{name}_goldens.json.gz").read_bytes()))
    for name in ("keras2", "torchvision")
)
# The network for each golden, and one that its weights fit in every shape, while the graph differs.
NETWORKS = {
    "resnetrs50": ("ResNetRS50", None),
    "tfregnety002": ("TFRegNetY002", "RegNetY002"),
    "regnet_y_400mf": ("RegNetY004", "TFRegNetY004"),
    "mobilenet_v3_small": ("MobileNetV3SmallTV", "MobileNetV3Small"),
    "mobilenet_v3_large": ("MobileNetV3LargeTV", "TFMobileNetV3Large"),
}
GOLDENS = KERAS_2 | TORCHVISION
FAST, LARGE = ("mobilenet_v3_small",), ("resnetrs50", "mobilenet_v3_large")


def write(name, folder):
    """The file of a library, with generated weights."""
    if name in KERAS_2:
        return write_keras2(folder / "model.h5", layers(KERAS_2[name]))
    writer, path = Writer("zip"), folder / "model.pth"
    state = state_dict(TORCHVISION[name])
    path.write_bytes(writer.data({key: writer.tensor(value) for key, value in state.items()}))
    return path


def build(network, weights=None):
    return get_model(network)(
        weights=weights, input_shape=(None, None, 3), classifier_activation=None
    )


def difference(golden, model, size):
    """By how much of the largest logit the first ones are others."""
    expected = golden["logits"][size]
    result = run(model, image(*map(int, size.split("x"))))[0]
    return np.abs(result[: len(expected["first"])] - expected["first"]).max() / expected["largest"]


@pytest.mark.parametrize("name", each(NETWORKS, FAST, LARGE))
def test_logits_are_those_of_the_library_in_its_graph_only(name, tmp_path):
    (network, other), golden = NETWORKS[name], GOLDENS[name]
    model = build(network, write(name, tmp_path))
    for size in golden["logits"]:
        assert difference(golden, model, size) < max(1e-5, 10 * golden["float32_error"])
    if other:
        wrong = build(other)
        load_state_dict(wrong, export_state_dict(model))
        assert difference(golden, wrong, next(iter(golden["logits"]))) > 1e-3


def small(name, rename=lambda name: name):
    """The checkpoint of a library, with tensors of one number a side."""
    if name in TORCHVISION:
        values = {key: tensor(key, [1] * len(shape)) for key, shape in TORCHVISION[name]["state"]}
        return Checkpoint("FILE", values)
    values = {rename(key).partition(":")[0]: np.ones(1) for _, key, _, _ in names(KERAS_2[name])}
    return Checkpoint("FILE", values, keras_names=True)


@pytest.mark.parametrize(
    ("name", "others"),
    (
        ("resnetrs50", ("SEResNet50D",)),
        ("tfregnety002", ("RegNetY002",)),
        ("regnet_y_400mf", ("TFRegNetY004", "RegNetY002")),
        ("mobilenet_v3_small", ("MobileNetV3Small", "TFMobileNetV3Small")),
    ),
)
def test_other_graphs_are_refused(name, others):
    for other in others:
        with pytest.raises(ValueError, match=rf"FILE.*{NETWORKS[name][0]}.*not that of {other}"):
            translate(small(name), other, "FILE")


@pytest.mark.parametrize(("name", "session"), (("resnetrs50", "stem_"), ("tfregnety002", "")))
def test_what_a_session_of_keras_counted_does_not_matter(name, session):
    network = NETWORKS[name][0]
    first = translate(small(name), network, "FILE").values

    def rename(key):
        key = key.replace("1head", "12head") if not session else key
        return key.replace(f"{session}1_", f"{session}23_") if session else key

    assert translate(small(name, rename), network, "FILE").values.keys() == first.keys()


def test_what_a_user_calls_a_file_of_keras_2_does_not_matter(caplog):
    """Its names say what its graph is: regnety002.h5 is for TFRegNetY002."""
    for name, file in (("tfregnety002", "my_regnety002.h5"), ("mobilenet_v3_small", "v3.pth")):
        assert translate(small(name), NETWORKS[name][0], file).values
    assert not caplog.records


@pytest.mark.parametrize(
    ("file", "network", "other"),
    (
        ("regnety002.h5", "TFRegNetY002", "RegNetY002"),
        ("resnet-rs-350-i320.h5", "ResNetRS350", "ResNetRS270"),
        ("mobilenet_v3_large-5c1a4163.pth", "MobileNetV3LargeTV", "MobileNetV3Large"),
        ("regnet_y_400mf-c65dace8.pth", "RegNetY004", "RegNetY002"),
    ),
)
def test_published_files_are_known_by_their_names(file, network, other):
    with pytest.raises(ValueError, match=f"use {network}"):
        translate(Checkpoint(file, {}), other, file)


def test_every_file_of_the_libraries_has_a_row():
    origins = [row.origin for rows in WEIGHTS.values() for row in rows]
    # Of torchvision's RegNets of its second recipe, timm has copies.
    assert (origins.count("tf_keras"), origins.count("torchvision")) == (11 + 12, 7 + 3)


def test_a_file_of_keras_2_is_read_by_its_layers(tmp_path):
    """One weight of each kind, through a file."""
    groups = KERAS_2["tfregnety002"]["groups"]
    content = {layer: {} for layer, _ in groups}
    for layer, name, shape, _ in names(KERAS_2["tfregnety002"]):
        content[layer][name] = np.ones([1] * len(shape))
    checkpoint = read_checkpoint(write_keras2(tmp_path / "model.h5", content))
    values = translate(checkpoint, "TFRegNetY002", "model.h5").values
    for name in ("stem_conv/kernel", "s4_b7_conv3_bn/moving_variance", "s1_b1_se_fc2/bias"):
        assert name in values
    assert "head_fc/kernel" in values and "s1_b1_downsample_bn/gamma" in values
