"""imgclsmob's networks: files as tf2cv writes them give the logits of tf2cv."""

import gzip
import hashlib
import json
import logging
import re
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import each, run
from generated import image
from hub_server import HubServer
from keras2_files import layers, write_keras2

from keras_se.applications import get_model
from keras_se.graph.complexity import trainable_parameters
from keras_se.layers import SqueezeExcite
from keras_se.weights import WEIGHTS
from keras_se.weights.checkpoint import Checkpoint, read_checkpoint
from keras_se.weights.translate import translate

# Of tf2cv 0.0.18 under tf-keras 2.21: exact groups, names and shapes of the files, and logits.
PATH = Path(__file__).parent / "imgclsmob_goldens.json.gz"
GOLDENS = json.loads(gzip.decompress(PATH.read_bytes()))
FAST = ("seresnet20_cifar10", "sepreresnet20_cifar10", "seresnet10", "sepreresnet10")
# Which row has the checkpoint of each, by the address.
ROWS = {
    name: (network, row)
    for network, rows in WEIGHTS.items()
    for row in rows
    for name in GOLDENS
    if row.source.rpartition("/")[2].startswith(f"{name}-")
}


@pytest.fixture(scope="module", params=each(GOLDENS, FAST, {*GOLDENS} - {*FAST}))
def network(request, tmp_path_factory):
    """A golden and the network that the builder made of its file."""
    golden = GOLDENS[request.param]
    path = tmp_path_factory.mktemp("weights") / "generated.tf2.h5"
    write_keras2(path, layers(golden))
    application = get_model(ROWS[request.param][0])
    side = golden["size"]
    model = application(weights=path, input_shape=(side, side, 3), classifier_activation=None)
    path.unlink()
    return golden, model


def first_logits(golden, model):
    return run(model, image(golden["size"], golden["size"]))[0]


def test_logits_are_those_of_tf2cv(network):
    golden, model = network
    result = first_logits(golden, model)
    assert result.shape == (golden["classes"],)
    assert np.abs(result).max() == pytest.approx(golden["largest"], rel=1e-5)
    difference = np.abs(result[: len(golden["first"])] - golden["first"]).max()
    assert difference < 1e-5 * golden["largest"]


@pytest.mark.backend_neutral
def test_parameters_are_those_of_tf2cv(network):
    golden, model = network
    assert trainable_parameters(model) == golden["parameters"]


def test_a_bias_of_one_gate_moves_the_logits(network):
    """A golden that could not fail would prove nothing."""
    golden, model = network
    bias = next(x for x in model.layers if isinstance(x, SqueezeExcite)).fc2.bias
    before = bias.numpy().copy()
    try:
        bias.assign(np.zeros_like(before))
        moved = first_logits(golden, model)[: len(golden["first"])] - golden["first"]
    finally:
        bias.assign(before)
    assert np.abs(moved).max() > 1e-4 * golden["largest"]


@pytest.mark.backend_neutral
def test_every_golden_is_of_a_published_checkpoint():
    assert ROWS.keys() == GOLDENS.keys()
    for name, (_, row) in ROWS.items():
        assert row.classes == GOLDENS[name]["classes"]
        assert row.checksum.startswith(f"sha1:{re.search(r'-([0-9a-f]{8})[.]', row.source)[1]}")


def one(name, shape, kind):
    """A weight of one number, which its name tells."""
    return np.full([1] * len(shape), zlib.crc32(name.encode()), "float64")


def read(golden, tmp_path, rename=lambda name: name, **options):
    """The checkpoint in a file of small weights, with its names changed."""
    renamed = {
        layer: {rename(name): value for name, value in weights.items()}
        for layer, weights in layers(golden, one).items()
    }
    return read_checkpoint(write_keras2(tmp_path / "model.tf2.h5.zip", renamed, **options))


@pytest.mark.backend_neutral
def test_what_keras_numbered_does_not_matter(tmp_path):
    """Nor that some versions write a scope twice, or that a list of names is divided."""
    golden = GOLDENS["seresnet10"]
    first = translate(read(golden, tmp_path), "SEResNet10V1", "model.h5").values

    def rename(name):
        name = name.replace("se_res_net/features/features", "se_res_net_4/features")
        name = re.sub(r"(stage\d)/stage\d", r"\1", name)
        return re.sub(r"se_block\w*", f"se_block_{7 + zlib.crc32(name[:60].encode())}", name)

    other = read(golden, tmp_path, rename, limit=300)
    other = translate(other, "SEResNet10V1", "model.h5").values
    assert first.keys() == other.keys()
    for key, value in first.items():
        np.testing.assert_array_equal(other[key], value)


@pytest.fixture(scope="module")
def seresnet50(tmp_path_factory):
    return read(GOLDENS["seresnet50"], tmp_path_factory.mktemp("weights"))


@pytest.mark.backend_neutral
def test_where_the_stride_is_must_be_said(seresnet50, caplog):
    """In all names and shapes, SE-ResNet-50 is what 50b is: a bare file gets a warning."""
    checkpoint = seresnet50
    strided = "layer2_0_conv1__strided/kernel"
    with caplog.at_level(logging.WARNING, "keras_se"):
        assert strided in translate(checkpoint, "SEResNet50V1", "my.h5").values
        assert strided not in translate(checkpoint, "SEResNet50", "my.h5").values
    assert [("SEResNet50 in" in text, "SEResNet50V1 in" in text) for text in caplog.messages] == [
        (True, False),
        (False, True),
    ]
    caplog.clear()
    name = "a/seresnet50-0560-f1b84c8d.tf2.h5"
    translate(checkpoint, "SEResNet50V1", name)
    assert not caplog.messages
    for other in (name, f"{name}.zip"):
        with pytest.raises(ValueError, match="SEResNet50V1"):
            translate(checkpoint, "SEResNet50", other)


@pytest.mark.backend_neutral
@pytest.mark.parametrize("network", ("LegacySEResNet50", "SEResNet50D", "SEPreResNet50"))
def test_other_graphs_are_refused(seresnet50, network):
    with pytest.raises(ValueError, match=rf"imgclsmob.*SEResNet50V1.*not that of {network}"):
        translate(seresnet50, network, "my.h5")


@pytest.mark.backend_neutral
def test_an_archive_is_downloaded_and_checked_by_the_file_in_it(tmp_path, monkeypatch):
    golden = GOLDENS["seresnet20_cifar10"]
    inner = write_keras2(tmp_path / "seresnet20.tf2.h5", layers(golden))
    checksum = f"sha1:{hashlib.sha1(inner.read_bytes(), usedforsecurity=False).hexdigest()}"
    packed = tmp_path / "seresnet20.tf2.h5.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(inner, inner.name)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    network, row = ROWS["seresnet20_cifar10"]
    with HubServer() as hub:
        hub.releases["/releases/a.tf2.h5.zip"] = packed.read_bytes()
        row = replace(row, source=f"{hub.url}/releases/a.tf2.h5.zip", checksum=checksum)
        monkeypatch.setitem(WEIGHTS, network, (row,))
        model = get_model(network)(weights=row.tag, classifier_activation=None)
        np.testing.assert_allclose(
            first_logits(golden, model)[:10], golden["first"], atol=1e-5 * golden["largest"]
        )
        wrong = replace(row, checksum=f"sha1:{40 * '0'}")
        monkeypatch.setitem(WEIGHTS, network, (wrong,))
        with pytest.raises(OSError, match="sha1"):
            get_model(network)(weights=row.tag)


@pytest.mark.backend_neutral
def test_pieces_that_do_not_fit_are_named():
    group = "se_res_ne_xt/features/stage1/unit1/body/conv2/conv/convgroup"
    gate = "se_res_ne_xt/features/stage1/unit1/se/conv1/conv/kernel"
    values = {gate: np.ones((1, 1)), f"{group}1/kernel": np.ones((3, 3, 4, 4))}
    values[f"{group}2/kernel"] = np.ones((3, 3, 5, 4))
    with pytest.raises(ValueError, match=r"FILE.*layer1_0_conv2/kernel"):
        translate(Checkpoint("FILE", values, keras_names=True), "SEResNeXt50_32x4d", "FILE")
