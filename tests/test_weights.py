"""The registry, and the whole way from a tag to a loaded network through a local hub."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDENS, run
from generated import image, state_dict
from hub_server import HubServer
from make_proofs import proofs
from safetensors.numpy import save
from test_torch_file import Writer

from keras_se import applications
from keras_se.cli import model_table
from keras_se.weights import WEIGHTS, export_state_dict
from keras_se.weights.registry import read_proofs

ROOT = Path(__file__).parent.parent
# Those that come with the package are in test_packaged.py.
EVERY = [(name, row) for name, rows in WEIGHTS.items() for row in rows if row.class_names is None]
FREE = ("apache-2.0", "bsd-3-clause", "mit")
LICENSES = (*FREE, "cc-by-nc-4.0", "seer-license", None)


@pytest.mark.backend_neutral
@pytest.mark.parametrize(("name", "row"), EVERY, ids=[f"{name}.{row.tag}" for name, row in EVERY])
def test_every_row_is_well_formed(name, row):
    assert applications.get_model(name).name == name
    if row.origin != "timm":
        assert row.source.startswith("https://")
        assert row.tag.startswith(f"{row.origin}_")
        assert row.checksum is None or re.fullmatch(
            "md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}", row.checksum
        )
    elif row.source.startswith("https://"):
        file = row.source.rsplit("/", 1)[-1]
        # The digits that a download is checked against.
        assert re.fullmatch(r"[\w-]+-([0-9a-f]{8,})\.pth", file)
    else:
        network, tag = row.source.removeprefix("timm/").split(".")
        assert tag == row.tag
        assert name == applications.get_model(network).name
    looks = row.preprocessing
    assert 128 <= looks.size <= 512
    assert looks.size % 16 == 0 or looks.size == 299  # Inception's
    assert 0.8 <= looks.crop <= 1.0
    assert looks.interpolation in ("bicubic", "bilinear")
    assert row.classes in (0, 1000, 8631, 11221, 11821)
    assert row.license in LICENSES
    if row.top1 is not None:
        assert 55 < row.top1 < 90
    if row.top5 is not None:
        assert row.top1 < row.top5 < 100


@pytest.mark.backend_neutral
def test_tags_are_unique_and_no_published_row_is_lost():
    for name, rows in WEIGHTS.items():
        tags = [row.tag for row in rows]
        assert len(tags) == len(set(tags)), name
    # Counted in timm 1.0.31's configurations for these networks and their plain twins.
    assert sum(row.origin == "timm" for _, row in EVERY) == 201


@pytest.mark.backend_neutral
def test_what_imagenet_means():
    assert applications.SEResNet50.weights[0].tag == "ra2_in1k"
    assert applications.SEResNet50.weights[0].top1 == 80.26
    assert applications.SEResNet50.twin.weights[0].tag == "a1_in1k"
    for name in dict(EVERY):
        rows = WEIGHTS[name]
        assert rows[0].classes == 1000, name
        free = [row for row in rows if row.license in FREE]
        assert rows[0].is_commercial or not free, name
        # The best that is known of first, among those with the same rights.
        timms = [row for row in rows if row.origin == "timm"]
        first = [row.top1 for row in timms if row.classes == 1000 and row.is_commercial]
        assert first == sorted(first, reverse=True), name


@pytest.mark.backend_neutral
@pytest.mark.parametrize("name", ("RegNetY1280", "ResNeXt101_32x32d"))
def test_imagenet_stands_for_no_weights_for_research_only(name):
    network = applications.get_model(name)
    assert network.default_weights == "imagenet"
    for act in (network, network.preprocessing):
        with pytest.raises(ValueError) as raised:
            act()
        for row in network.weights:
            assert repr(row.tag) in str(raised.value)
            assert row.license in str(raised.value)
    tag = network.weights[0].tag
    assert network.preprocessing(tag) == network.weights[0].preprocessing


@pytest.mark.backend_neutral
def test_imagenet_of_a_network_with_both_is_for_any_use():
    by_tag = {row.tag: row for row in applications.RegNetY320.weights}
    assert by_tag["swag_ft_in1k"].top1 > by_tag["tv2_in1k"].top1
    assert applications.RegNetY320.preprocessing() == by_tag["tv2_in1k"].preprocessing
    assert [tag for tag, row in by_tag.items() if not row.is_commercial] == (
        ["swag_ft_in1k", "swag_lc_in1k", "seer_ft_in1k", "seer"]
    )


@pytest.mark.backend_neutral
def test_an_unknown_tag_lists_those_there_are():
    with pytest.raises(ValueError) as raised:
        applications.SEResNet50(weights="ra2")
    message = str(raised.value)
    assert message.index("ra2_in1k") < message.index("a3_in1k")
    assert "SEResNet50" in message
    assert "'ra2'" in message


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("network", "words"),
    (
        ("SEResNet152", ("SEResNet152.", "weights=None", "SEResNet152D")),
        # Nobody has published it; its plain twin has four checkpoints.
        ("SEInceptionV3", ("SEInceptionV3", "weights=None", "insert_se(SEInceptionV3(se=False))")),
        ("SEShuffleNet", ("SEShuffleNet", "weights=None")),
    ),
)
def test_networks_without_weights_name_a_way_that_works(network, words):
    with pytest.raises(ValueError, match=network) as raised:
        getattr(applications, network)()
    for word in words:
        assert word in str(raised.value)
    # Only into a twin that is trained itself.
    assert ("insert_se" in str(raised.value)) == (network != "SEShuffleNet")


@pytest.mark.backend_neutral
def test_lists_are_complete():
    assert len(model_table.networks().splitlines()) == 1 + len(applications.list_models())
    lines = model_table.checkpoints().splitlines()
    assert len(lines) == 1 + sum(map(len, WEIGHTS.values()))
    assert any(re.match(r"SEResNet50 +ra2_in1k +224 +1000 +80\.26 +95\.07 ", one) for one in lines)


@pytest.mark.backend_neutral
def test_what_is_said_to_be_proven_is_what_the_tests_have():
    """After a new golden or origin: python tests/make_proofs.py"""
    assert read_proofs() == proofs()
    rows = {(row["network"], row["weights"]): row for row in model_table.describe_weights()}
    for network, tag, proof, hash_ in (
        ("SEResNet50", "ra2_in1k", "logits", "the hub's"),
        ("SEResNet50", "mmpretrain_in1k", "logits", "sha256:ae206104"),
        ("ResNet34", "gluon_in1k", "twin", "the hub's"),
        ("LegacySEResNet50", "in1k", "logits", "sha256:ce0d4300"),
        ("LegacySEResNet50", "rcmalli_vggface2", None, "none"),
        ("TFRegNetY320", "tf_keras_in1k", "logits", "sha256:b05e173e"),
        ("RegNetY640", "seer_ft_in1k", "names", "the hub's"),
        ("SEResNet20", "cifar10", "accuracy", "sha256:"),
    ):
        row = rows[network, tag]
        assert row["proven"] == proof
        assert model_table.hash_text(row).startswith(hash_)


@pytest.fixture(scope="module")
def small():
    """The checkpoint of SE-ResNeXt-26-ts, as timm would publish it."""
    return state_dict(GOLDENS["seresnext26ts"])


SCRIPT = """
import sys
import numpy as np
from keras_se.applications import SEResNeXt26TS
arguments = {"input_shape": (128, 128, 3), "classifier_activation": None}
model = SEResNeXt26TS(weights=sys.argv[1], **arguments)
np.save(sys.argv[2], model.predict(np.load(sys.argv[3]), verbose=0))
"""


@pytest.mark.parametrize("name", ("imagenet", "hf://timm/seresnext26ts.ch_in1k"))
def test_a_tag_is_downloaded_and_loaded(small, tmp_path, name):
    """In a process of its own: huggingface_hub reads HF_ENDPOINT once, when it is imported."""
    np.save(tmp_path / "image.npy", image(128, 128))
    out = tmp_path / "logits.npy"
    with HubServer() as hub:
        hub.repositories["timm/seresnext26ts.ch_in1k"] = {"model.safetensors": save(small)}
        places = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
        subprocess.run(
            [sys.executable, "-c", SCRIPT, name, out, tmp_path / "image.npy"],
            env={**os.environ, **places, "HF_HUB_DISABLE_TELEMETRY": "1"},
            check=True,
            cwd=ROOT,
        )
        assert hub.count("seresnext26ts") > 0
    expected = GOLDENS["seresnext26ts"]["logits"]["128x128"]
    result = np.load(out)[0][:64]
    np.testing.assert_allclose(result, expected["first"], atol=1e-5 * expected["largest"])


OFFLINE = """
import time
from keras_se.applications import SEResNet50
started = time.monotonic()
try:
    SEResNet50(weights="imagenet")
except OSError as error:
    print(error)
assert time.monotonic() - started < 5
"""


@pytest.mark.backend_neutral
@pytest.mark.parametrize("endpoint", ("http://127.0.0.1:9", "https://huggingface.invalid"))
def test_without_a_connection_one_paragraph_says_what_works(tmp_path, endpoint):
    """Nobody listens at the port, or the name has no address."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-c", OFFLINE]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True, timeout=90
    )
    (paragraph,) = done.stdout.splitlines()
    for words in (
        endpoint.rpartition("/")[2].partition(":")[0],
        "https://huggingface.co/timm/seresnet50.ra2_in1k/resolve/main/model.safetensors",
        "weights=None",
        "weights='/path/to/model.safetensors'",
        "SEResNet20(weights='cifar10')",
    ):
        assert words in paragraph


@pytest.fixture
def release(tmp_path, monkeypatch):
    """A release page with a legacy checkpoint, in the file format of 2018, and its row."""
    golden = GOLDENS["legacy_seresnet18"]
    writer = Writer("legacy")
    content = writer.data({key: writer.tensor(value) for key, value in state_dict(golden).items()})
    digits = hashlib.sha256(content).hexdigest()[:8]
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with HubServer() as hub:
        path = f"/releases/seresnet18-{digits}.pth"
        hub.releases[path] = content
        (row,) = WEIGHTS["LegacySEResNet18"]
        row = replace(row, source=hub.url + path, sha256=digits)
        monkeypatch.setitem(WEIGHTS, "LegacySEResNet18", (row,))
        yield hub, path


@pytest.mark.backend_neutral
def test_a_release_file_of_2018_is_downloaded_once_and_loaded(release):
    """By its tag or its address."""
    hub, path = release
    golden = GOLDENS["legacy_seresnet18"]["logits"]["128x128"]
    for source in ("imagenet", hub.url + path):
        model = applications.LegacySEResNet18(
            weights=source, input_shape=(128, 128, 3), classifier_activation=None
        )
        result = run(model, image(128, 128))[0][:64]
        np.testing.assert_allclose(result, golden["first"], atol=1e-5 * golden["largest"])
    assert hub.requests[("GET", path)] == 1


@pytest.mark.backend_neutral
def test_a_damaged_download_is_refused_and_nothing_is_kept(release, tmp_path):
    hub, path = release
    whole = hub.releases[path]
    hub.releases[path] = whole[:-1] + b"x"
    with pytest.raises(OSError, match="seresnet18"):
        applications.LegacySEResNet18()
    hub.releases[path] = whole
    model = applications.LegacySEResNet18(include_top=False)
    assert model.output_shape == (None, None, None, 512)
    assert not [one for one in tmp_path.rglob("*.pth") if one.read_bytes() != whole]


def test_a_checkpoint_published_without_a_head(small, tmp_path, monkeypatch, caplog):
    """Such as resnet50.bamboo: the head stays random, and a log line says so."""
    trunk = {key: value for key, value in small.items() if not key.startswith("head.")}
    file = tmp_path / "model.safetensors"
    file.write_bytes(save(trunk))
    (row,) = WEIGHTS["SEResNeXt26TS"]
    monkeypatch.setitem(WEIGHTS, "SEResNeXt26TS", (replace(row, classes=0),))
    monkeypatch.setattr("keras_se.weights.hub.fetch", lambda source, **hashes: file)
    with pytest.raises(ValueError, match="include_top=False"):
        applications.SEResNeXt26TS()
    assert applications.SEResNeXt26TS(include_top=False).output_shape[-1] == 2048
    model = applications.SEResNeXt26TS(classes=5)
    assert "head_fc" in caplog.text
    np.testing.assert_array_equal(
        export_state_dict(model)["stem.conv1.conv.weight"], small["stem.conv1.conv.weight"]
    )


@pytest.mark.network
def test_real_weights_know_a_photograph():
    """Run where the hub can be reached: pytest -m network."""
    from sklearn.datasets import load_sample_image

    network = applications.SEResNet50
    picture = network.load_image(load_sample_image("flower.jpg"))
    model = network(weights="imagenet")
    scores = model.predict(network.preprocess_input(picture)[None], verbose=0)
    names = [name for _, name, _ in network.decode_predictions(scores, top=5)[0]]
    assert set(names) & {"daisy", "cardoon", "pot", "vase", "artichoke", "bee"}
