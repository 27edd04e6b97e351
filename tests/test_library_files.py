"""Files with the names of other libraries and projects give the logits of their own code."""

import gzip
import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import each, run
from generated import image, state_dict, tensor
from keras2_files import layers, names, write_keras2
from paddle_files import arrays, write_paddle
from test_torch_file import Writer

from keras_se.applications import get_model
from keras_se.graph.complexity import trainable_parameters
from keras_se.layers import SqueezeExcite
from keras_se.weights import WEIGHTS, export_state_dict, load_state_dict
from keras_se.weights.checkpoint import Checkpoint, read_checkpoint
from keras_se.weights.convert import from_state_dict, keras_variables
from keras_se.weights.keras2_origins import KERAS_2_SIZES
from keras_se.weights.translate import translate

neutral = pytest.mark.backend_neutral
FOLDER = Path(__file__).parent
KERAS_2, TORCHVISION, PADDLE, PROJECTS = (
    json.loads(gzip.decompress((FOLDER / f"{name}_goldens.json.gz").read_bytes()))
    for name in ("keras2", "torchvision", "paddle", "projects")
)
# The network for each golden, and one that its weights fit in every shape, while the graph differs.
NETWORKS = {
    **{name: (f"ResNetRS{name[8:]}", None) for name in KERAS_2 if name.startswith("resnetrs")},
    **{f"tfregnety{size}": (f"TFRegNetY{size}", f"RegNetY{size}") for size in KERAS_2_SIZES},
    "regnet_y_400mf": ("RegNetY004", "TFRegNetY004"),
    "regnet_y_800mf": ("RegNetY008TV", None),
    "regnet_y_1_6gf": ("RegNetY016", "TFRegNetY016"),
    "regnet_y_3_2gf": ("RegNetY032", "TFRegNetY032"),
    "regnet_y_8gf": ("RegNetY080TV", None),
    "regnet_y_16gf": ("RegNetY160", "TFRegNetY160"),
    "regnet_y_32gf": ("RegNetY320", "TFRegNetY320"),
    "regnet_y_128gf": ("RegNetY1280", None),
    "mobilenet_v3_small": ("MobileNetV3SmallTV", "MobileNetV3Small"),
    "mobilenet_v3_large": ("MobileNetV3LargeTV", "TFMobileNetV3Large"),
    "SE_ResNet18_vd": ("SEResNet18VD", None),
    "SE_ResNet34_vd": ("SEResNet34VD", None),
    "SE_ResNet50_vd": ("SEResNet50D", "SEResNetAA50D"),
    "SE_ResNeXt50_32x4d": ("SEResNeXt50_32x4d", None),
    "SE_ResNeXt101_32x4d": ("SEResNeXt101_32x4d", None),
    "SE_ResNeXt50_vd_32x4d": ("SEResNeXt50VD_32x4d", None),
    "SENet154_vd": ("SENet154VD", None),
    "mmpretrain_seresnet50": ("SEResNet50", None),
    "mmpretrain_seresnet101": ("SEResNet101", None),
    "moskomule_seresnet50": ("SEResNet50", None),
    "nvidia_seresnext101": ("SEResNeXt101NV_32x4d", None),
}
GOLDENS = KERAS_2 | TORCHVISION | PADDLE | PROJECTS
OF_LIBRARIES = {"tf_keras": KERAS_2, "torchvision": TORCHVISION, "paddle": PADDLE}
OF_LIBRARIES |= {
    project: {name: PROJECTS[name] for name in PROJECTS if name.startswith(project)}
    for project in ("mmpretrain", "moskomule", "nvidia")
}
ABSTRACT = tuple(name for name, golden in GOLDENS.items() if not golden["logits"])
RUN = [name for name in GOLDENS if name not in ABSTRACT]
# What `make test` takes: the smallest of each library and family but ResNet-RS.
ON_BACKENDS = "tfregnety002"
FAST = (ON_BACKENDS, "mobilenet_v3_small")
SMALLEST = (*FAST, "regnet_y_400mf", "SE_ResNet18_vd", "mmpretrain_seresnet50")
LARGE = tuple(name for name in RUN if name not in SMALLEST)


def write(name, folder):
    """The file of a library, with generated weights."""
    if name in KERAS_2:
        return write_keras2(folder / "model.h5", layers(KERAS_2[name]))
    if name in PADDLE:
        return write_paddle(folder / "model.pdparams", arrays(PADDLE[name]))
    writer, path = Writer("zip"), folder / "model.pth"
    state = state_dict(GOLDENS[name])
    tensors = {key: writer.tensor(value) for key, value in state.items()}
    # These projects keep more than the network.
    is_nested = name.startswith(("mmpretrain", "nvidia"))
    content = {"state_dict": tensors, "meta": {"epoch": 100}} if is_nested else tensors
    path.write_bytes(writer.data(content))
    return path


def build(network, weights=None):
    return get_model(network)(
        weights=weights, input_shape=(None, None, 3), classifier_activation=None
    )


def gate_biases(model):
    """How many numbers the biases of a model's gates are."""
    gates = [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]
    weights = [weight for gate in gates for weight in gate.weights]
    return sum(math.prod(weight.shape) for weight in weights if weight.name == "bias")


def difference(golden, model, size):
    """By how much of the largest logit the first ones are others."""
    expected = golden["logits"][size]
    result = run(model, image(*map(int, size.split("x"))))[0]
    return np.abs(result[: len(expected["first"])] - expected["first"]).max() / expected["largest"]


@neutral
def test_every_golden_has_a_network_and_every_checkpoint_of_the_libraries_a_golden():
    assert NETWORKS.keys() == GOLDENS.keys()
    for origin, goldens in OF_LIBRARIES.items():
        networks = {NETWORKS[name][0] for name in goldens}
        assert networks >= {
            network for network, rows in WEIGHTS.items() for row in rows if row.origin == origin
        }


def cases():
    """The goldens that are run; on other backends than TensorFlow what test_parity.py lacks."""
    for case in each(RUN, FAST, LARGE):
        (name,) = case.values
        marks = [*case.marks, *([] if name == ON_BACKENDS else [neutral])]
        yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", cases())
def test_logits_are_those_of_the_library_in_its_graph_only(name, tmp_path):
    (network, other), golden = NETWORKS[name], GOLDENS[name]
    path = write(name, tmp_path)
    model = build(network, path)
    path.unlink()
    # That project's gates have no biases.
    added = gate_biases(model) if name in OF_LIBRARIES["moskomule"] else 0
    assert trainable_parameters(model) == golden["parameters"] + added
    for size in golden["logits"]:
        assert difference(golden, model, size) < max(1e-5, 10 * golden["float32_error"])
    # That it is another graph says nothing of a backend.
    if other and keras.backend.backend() == "tensorflow":
        wrong = build(other)
        load_state_dict(wrong, export_state_dict(model))
        assert difference(golden, wrong, next(iter(golden["logits"]))) > 1e-3


@neutral
@pytest.mark.large
@pytest.mark.parametrize("name", ABSTRACT)
def test_networks_too_large_to_run_have_the_names_and_shapes_of_the_library(name):
    (network, _), golden = NETWORKS[name], GOLDENS[name]
    with keras.StatelessScope(initialize_variables=False):
        model = get_model(network)(weights=None)
    values = {key: np.broadcast_to(np.float32(0), shape) for key, shape in golden["state"]}
    values = translate(Checkpoint("FILE", values), network, "FILE").values
    shapes = {key: value.shape for key, value in from_state_dict(model, values).items()}
    expected = keras_variables(model).items()
    assert shapes == {key: tuple(variable.shape) for key, variable in expected}
    assert trainable_parameters(model) == golden["parameters"]


def small(name, rename=lambda name: name):
    """The checkpoint of a library, with tensors of one number a side."""
    if name not in KERAS_2:
        values = {key: tensor(key, [1] * len(shape)) for key, shape in GOLDENS[name]["state"]}
        return Checkpoint("FILE", values)
    values = {rename(key).partition(":")[0]: np.ones(1) for _, key, _, _ in names(KERAS_2[name])}
    return Checkpoint("FILE", values, keras_names=True)


@neutral
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


@neutral
@pytest.mark.parametrize(("name", "session"), (("resnetrs50", "stem_"), ("tfregnety002", "")))
def test_what_a_session_of_keras_counted_does_not_matter(name, session):
    network = NETWORKS[name][0]
    first = translate(small(name), network, "FILE").values

    def rename(key):
        key = key.replace("1head", "12head") if not session else key
        return key.replace(f"{session}1_", f"{session}23_") if session else key

    assert translate(small(name, rename), network, "FILE").values.keys() == first.keys()


@neutral
def test_what_a_user_calls_a_file_of_keras_2_does_not_matter(caplog):
    """Its names say what its graph is: regnety002.h5 is for TFRegNetY002."""
    for name, file in (("tfregnety002", "my_regnety002.h5"), ("mobilenet_v3_small", "v3.pth")):
        assert translate(small(name), NETWORKS[name][0], file).values
    assert not caplog.records


@neutral
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


@neutral
def test_every_file_of_the_libraries_has_a_row():
    origins = [row.origin for rows in WEIGHTS.values() for row in rows]
    # Of torchvision's RegNets of its second recipe, timm has copies.
    assert (origins.count("tf_keras"), origins.count("torchvision")) == (11 + 12, 7 + 3)


@neutral
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
