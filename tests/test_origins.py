"""Checkpoints of other projects: their names become timm's, and no graph takes another's."""

import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import GOLDENS, each
from generated import tensor
from hub_server import HubServer
from keras2_files import write_keras2
from paddle_files import write_paddle
from test_torch_file import Writer

from keras_se.applications import get_model
from keras_se.weights import WEIGHTS
from keras_se.weights.checkpoint import Checkpoint
from keras_se.weights.hub import digits_in_name
from keras_se.weights.sources import open_weights
from keras_se.weights.translate import translate

# What each project calls the parameters, by expressions for timm's names.
NVIDIA = ((r"\.se\.fc1\.", ".squeeze.squeeze."), (r"\.se\.fc2\.", ".squeeze.expand."))
MMPRETRAIN = ((r"^", "backbone."), (r"\.se\.fc(.)\.", r".se_layer.conv\1.conv."))
MMPRETRAIN += ((r"^backbone\.fc\.", "head.fc."),)
MOSKOMULE = ((r"\.se\.fc1\.", ".se.fc.0."), (r"\.se\.fc2\.", ".se.fc.2."))
FACES = ((r"^layer0\.", ""), (r"^last_linear\.", "fc."))
FACES += ((r"\.se_module\.fc1\.", ".conv4."), (r"\.se_module\.fc2\.", ".conv5."))
PADDLE = ((r"^conv1\.", "conv._conv."), (r"^bn1\.", "conv._batch_norm."), (r"^fc\.", "out."))
PADDLE += tuple(
    (rf"^layer{stage}\.(\d+)\.{ours}\.", rf"bb_{stage - 1}_\1.{theirs}.")
    for stage in (1, 2, 3, 4)
    for ours, theirs in (
        *((f"conv{number}", f"conv{number - 1}._conv") for number in (1, 2, 3)),
        *((f"bn{number}", f"conv{number - 1}._batch_norm") for number in (1, 2, 3)),
        *(("se\\.fc1", "scale.squeeze"), ("se\\.fc2", "scale.excitation")),
        *((r"downsample\.0", "short._conv"), (r"downsample\.1", "short._batch_norm")),
    )
)
PADDLE += ((r"running_mean$", "_mean"), (r"running_var$", "_variance"))
# A golden with the shapes of its checkpoints, or another with all the names.
PROJECTS = {
    "nvidia": ("seresnext101_32x4d", NVIDIA),
    "mmpretrain": ("seresnet50", MMPRETRAIN),
    "moskomule": ("seresnet101", MOSKOMULE),
    "vggface2": ("legacy_seresnet50", FACES),
    "paddle": ("seresnext50_32x4d", PADDLE),
}
# Where the golden is of another network.
NETWORKS = {"nvidia": "SEResNeXt101NV_32x4d"}
each_project = pytest.mark.parametrize("project", PROJECTS)


def network_of(project):
    """The name of the network that a project's checkpoint is for."""
    return NETWORKS.get(project) or get_model(PROJECTS[project][0]).name


def as_written_by(project, state):
    """A state dict of timm's with the names, layouts and lacks of a project."""
    written = {}
    for key, value in state.items():
        if project in ("nvidia", "moskomule", "paddle") and ".se." in key and value.ndim == 4:
            value = value[:, :, 0, 0]
        if project == "paddle" and value.ndim == 2:
            value = value.T
        if project == "moskomule" and re.search(r"\.se\.fc.\.bias", key):
            continue
        if project == "vggface2" and key == "layer0.conv1.weight":
            value = value[:, ::-1]
        for expression, name in PROJECTS[project][1]:
            key = re.sub(expression, name, key)
        written[key] = value
    return written


def small_state(golden):
    """Every key of a checkpoint, with tensors of three numbers a side at most."""
    return {key: tensor(key, [min(side, 3) for side in shape]) for key, shape in golden["state"]}


@pytest.mark.backend_neutral
@each_project
def test_names_become_those_of_timm(project):
    name = PROJECTS[project][0]
    state = small_state(GOLDENS[name])
    written = as_written_by(project, state)
    assert not written.keys() >= state.keys()
    result = translate(Checkpoint("FILE", written), network_of(project), "FILE").values
    assert result.keys() == state.keys()
    for key, value in state.items():
        if project == "moskomule" and re.search(r"\.se\.fc.\.bias", key):
            value = np.zeros_like(value)
        np.testing.assert_array_equal(np.ravel(result[key]), np.ravel(value), err_msg=key)


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("project", "other"),
    (
        ("nvidia", "SEResNeXt101_32x4d"),
        ("nvidia", "LegacySEResNeXt101_32x4d"),
        ("mmpretrain", "LegacySEResNet50"),
        ("moskomule", "LegacySEResNet101"),
        ("vggface2", "SEResNet50"),
        ("paddle", "LegacySEResNeXt50_32x4d"),
    ),
)
def test_another_graph_is_refused(project, other):
    """Though all the shapes agree."""
    name = PROJECTS[project][0]
    checkpoint = Checkpoint("FILE", as_written_by(project, small_state(GOLDENS[name])))
    with pytest.raises(ValueError, match=rf"FILE.*{network_of(project)}.*not that of {other}"):
        translate(checkpoint, other, "FILE")


# Millions of numbers, moving statistics among them, that PaddleClas's table of models has.
PADDLE_SIZES = {"SEResNet18VD": 11.81, "SEResNet34VD": 22.00, "SEResNet50D": 28.16}
PADDLE_SIZES |= {"SEResNeXt50VD_32x4d": 27.76, "SENet154VD": 122.03}


@pytest.mark.backend_neutral
@pytest.mark.parametrize("network", each(PADDLE_SIZES, ("SEResNet18VD",), ("SENet154VD",)))
def test_networks_of_paddle_have_the_published_size(network):
    model = get_model(network)(weights=None)
    assert model.count_params() / 1e6 == pytest.approx(PADDLE_SIZES[network], abs=0.006)


@pytest.mark.backend_neutral
def test_a_tag_must_lead_to_the_project_that_it_names():
    (row,) = (row for row in WEIGHTS["SEResNet50"] if row.origin == "mmpretrain")
    checkpoint = Checkpoint("mmpretrain_in1k", small_state(GOLDENS["seresnet50"]), row=row)
    with pytest.raises(ValueError, match="mmpretrain"):
        translate(checkpoint, "SEResNet50", row.source)


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    "name",
    (
        "hf://timm/seresnet50.a1_in1k",
        "hf://timm/seresnet50.a1_in1k@main",
        "hf://timm/seresnet50.a1_in1k/model.safetensors",
        "hf://timm/seresnet50.a1_in1k@refs/pr/1/pytorch_model.bin",
        "HF://timm/seresnet50.a1_in1k",
        "hf://Timm/SEResNet50.a1_in1k/model.safetensors",
        "/home/me/se_resnet50-ce0d4300.pth",
        "/home/me/SE_ResNet50-CE0D4300.PTH",
        "C:\\me\\se-resnet101_batch256_imagenet_20200804-ba5b51d4.pth",
    ),
)
def test_what_is_published_for_another_network_is_refused(name):
    """By its repository and by the name of its file, before its names are looked at."""
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        translate(Checkpoint(name, {}), "SEResNeXt50_32x4d", name)


@pytest.mark.backend_neutral
def test_a_network_takes_its_own_repository_and_what_nobody_published():
    for name in ("hf://timm/seresnet50.a1_in1k", "hf://me/seresnet50", "model.safetensors"):
        assert not translate(Checkpoint(name, {}), "SEResNet50", name).values


@pytest.mark.backend_neutral
def test_two_arrays_for_one_name_are_refused():
    values = {"backbone.conv1.weight": 1, "backbone.layer1.0.se_layer.conv1.conv.weight": 2}
    checkpoint = Checkpoint("FILE", values | {"conv1.weight": 3})
    with pytest.raises(ValueError, match=r"FILE.*conv1"):
        translate(checkpoint, "SEResNet50", "FILE")


def torch_file(key, folder):
    writer = Writer("zip")
    return writer.data({"state_dict": {key: writer.tensor(np.ones((2, 2)), "Double")}})


def paddle_file(key, folder):
    return write_paddle(folder / "made.pdparams", {key: np.ones((2, 2))}).read_bytes()


def keras2_file(key, folder):
    layers = {key.partition("/")[0]: {f"{key}:0": np.ones((2, 2))}}
    return write_keras2(folder / "made.h5", layers).read_bytes()


# Of every project with a server of its own: a network, the format of its files, and what it calls
# a kernel of the gates, which is called otherwise here.
GATE = "layer1.0.se.fc1.weight"
DOWNLOADS = {
    "nvidia": ("SEResNeXt101NV_32x4d", torch_file, "layer1.0.squeeze.squeeze.weight", GATE),
    "mmpretrain": ("SEResNet50", torch_file, "backbone.layer1.0.se_layer.conv1.conv.weight", GATE),
    "moskomule": ("SEResNet50", torch_file, "layer1.0.se.fc.0.weight", GATE),
    "paddle": ("SEResNet18VD", paddle_file, "bb_0_0.scale.squeeze.weight", GATE),
    "rcmalli": (
        *("LegacySEResNet50", keras2_file),
        *("conv2_1_1x1_down/kernel", "layer1_0_se__module_fc1/kernel"),
    ),
    "tf_keras": (
        *("ResNetRS50", keras2_file),
        *("BlockGroup2__block_0__se_se_reduce/kernel", "layer1_0_se_fc1/kernel"),
    ),
    "torchvision": (
        *("RegNetY004", torch_file),
        *("trunk_output.block1.block1-0.f.se.fc1.weight", "s1.b1.se.fc1.weight"),
    ),
}


@pytest.mark.backend_neutral
@pytest.mark.parametrize("project", DOWNLOADS)
def test_a_checkpoint_is_downloaded(project, tmp_path, monkeypatch):
    """It is checked if a hash of it is known, and read by its names."""
    network, write, key, expected = DOWNLOADS[project]
    row = next(row for row in WEIGHTS[network] if row.origin == project)
    file = row.source.rpartition("/")[2]
    content = write(key, tmp_path)
    algorithm, _, digits = (row.checksum or f"sha256:{digits_in_name(file) or ''}").partition(":")
    made = hashlib.new(algorithm, content).hexdigest()[: len(digits)]
    if digits:
        file = file.replace(digits, made)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with HubServer() as hub:
        address = f"{hub.url}/{file}"
        rows = [replace(row, source=address, checksum=row.checksum and f"{algorithm}:{made}")]
        if digits:
            hub.releases[f"/{file}"] = content[:-1] + b"!"
            with pytest.raises(OSError, match=f"should start with {made}"):
                open_weights(row.tag, rows, network=network)
        hub.releases[f"/{file}"] = content
        for _ in range(2):
            values = open_weights(row.tag, rows, network=network).values
            np.testing.assert_array_equal(values[expected], np.ones((2, 2)))
        assert hub.count(f"/storage/{file}") == (2 if digits else 1)
        # By its address, nothing says that it is what was published.
        if not digits_in_name(file):
            with pytest.raises(ValueError, match="cannot be verified"):
                open_weights(address, (), network=network)


@pytest.mark.backend_neutral
def test_the_download_of_every_project_is_tested():
    """Here, and those of the hub, timm's releases and imgclsmob's archives in other files."""
    projects = {row.origin for rows in WEIGHTS.values() for row in rows}
    assert projects == {"timm", "keras_se", "imgclsmob", *DOWNLOADS}
