"""What the page of `keras-se explore` shows, without the page: no Gradio, no browser."""

import dataclasses
import io
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from conftest import infer
from keras import layers
from PIL import Image
from random_statistics import randomized

from keras_se import SqueezeExcite, cli
from keras_se.analysis import analyze_gates, grad_cam
from keras_se.analysis.gate_switches import MEAN, ONE, OWN
from keras_se.cli.models import resolve_model
from keras_se.explore import Explorer, Page
from keras_se.explore.sections import classes_section, facts_section
from keras_se.explore.uploads import MOST_BYTES, decode_image, delete_old, take_upload
from keras_se.preprocessing import HALF, Preprocessing
from keras_se.surgery import remove_se

# As of a stranger: what stands in a page must be text.
NAMES = ("<b>bold</b>", *(f"class_{index}" for index in range(1, 10)))
PREPROCESSING = Preprocessing(8, 1.0, mean=HALF, std=HALF)


@pytest.fixture(scope="module")
def network():
    """Two stages with one block each, and a classifier."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="layer1_0_conv")(inputs)
    x = SqueezeExcite(2, name="layer1_0_se")(x)
    x = layers.Conv2D(8, 3, activation="relu", name="layer2_0_conv")(x)
    x = SqueezeExcite(2, name="layer2_0_se")(x)
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return randomized(keras.Model(inputs, outputs))


@pytest.fixture(scope="module")
def explorer(network, fake):
    reference = analyze_gates(network, fake, PREPROCESSING, verbose=False)
    return Explorer(network, PREPROCESSING, NAMES, reference)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (8, 8, 3), "uint8")


def file_of(pixels, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def test_scores_gates_and_map_are_those_of_the_network(explorer, network, pixels):
    view, inputs = explorer.view(pixels), PREPROCESSING.normalize(pixels[None])
    (scores,) = infer(network, inputs)
    np.testing.assert_allclose(view.scores, scores, atol=1e-6)
    assert view.changed is None and view.class_index == scores.argmax()
    np.testing.assert_allclose(view.heat, grad_cam(network, inputs)[0], atol=1e-5)
    other = explorer.view(pixels, class_index=3).heat
    np.testing.assert_allclose(other, grad_cam(network, inputs, class_index=3)[0], atol=1e-5)
    first = keras.Model(network.input, network.get_layer("layer1_0_conv").output)
    gates = network.get_layer("layer1_0_se").excitation(infer(first, inputs))
    gates = keras.ops.convert_to_numpy(gates).ravel()
    np.testing.assert_allclose(view.gates["layer1_0_se"], gates, atol=1e-6)


def test_switched_gates_are_those_of_a_network_without_the_blocks(explorer, network, fake, pixels):
    inputs = PREPROCESSING.normalize(pixels[None])
    images = PREPROCESSING.normalize(fake.test_images)
    off, _ = remove_se(network, "layer2", verbose=False)
    view = explorer.view(pixels, {"layer2_0_se": ONE, "layer1_0_se": OWN})
    np.testing.assert_allclose(view.changed, infer(off, inputs)[0], atol=1e-6)
    mean, _ = remove_se(network, images=images, verbose=False)
    view = explorer.view(pixels, {"layer1_0_se": MEAN, "layer2_0_se": MEAN})
    np.testing.assert_allclose(view.changed, infer(mean, inputs)[0], atol=1e-5)
    assert np.abs(view.changed - view.scores).max() > 1e-4
    # What was shown before leaves nothing behind.
    np.testing.assert_allclose(view.scores, explorer.view(pixels).scores, atol=1e-7)


@pytest.mark.backend_neutral
def test_gates_are_compared_with_classes_of_the_reference_set(explorer, fake, pixels):
    view = explorer.view(pixels, class_index=4)
    (block,) = (b for b in explorer.reference.blocks if b.name == "layer2_0_se")
    np.testing.assert_allclose(explorer.class_means(4)["layer2_0_se"], block.moments.means[4])
    own = block.moments.means[7]
    assert explorer.nearest_class("layer2_0_se", own) == 7
    text = Page(explorer, "Title").shown(pixels, NAMES[4], [], [], "own gates", "off")[2]
    assert "mean of class 4" in text and text.count("<img") == 2 and "layer1_0_se" in text
    assert view.gates.keys() == explorer.stages.keys()


@pytest.mark.backend_neutral
def test_without_a_reference_set_gates_are_compared_with_what_was_seen(network, pixels):
    explorer = Explorer(network, PREPROCESSING)
    first = explorer.view(pixels).gates["layer1_0_se"]
    np.testing.assert_allclose(explorer.means()["layer1_0_se"], first)
    explorer.view(pixels)  # The same picture again, as when a switch is moved.
    second = explorer.view(255 - pixels).gates["layer1_0_se"]
    np.testing.assert_allclose(explorer.means()["layer1_0_se"], (first + second) / 2, rtol=1e-6)
    text = Page(explorer, "Title").shown(pixels, "the predicted one", [], [], *["own gates"] * 2)[2]
    assert "2 images" in text and "one half" in text


@pytest.mark.backend_neutral
def test_what_is_no_classifier_and_other_classes_are_refused(explorer, network):
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="score"):
        Explorer(keras.Model(inputs, layers.Conv2D(10, 8)(inputs)), PREPROCESSING)
    # As where `analyze_gates` found that labels are no classes of the network.
    reference = dataclasses.replace(explorer.reference, accuracy=None)
    with pytest.raises(ValueError, match="10 classes"):
        Explorer(network, PREPROCESSING, NAMES, reference)


def test_many_at_a_time_see_what_each_would_alone(explorer, pixels):
    kinds = [{}, {"layer1_0_se": ONE}, {"layer2_0_se": MEAN}] * 4
    alone = [explorer.view(pixels, each).changed for each in kinds[:3]] * 4
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda each: explorer.view(pixels, each).changed, kinds))
    for got, expected in zip(together[1:], alone[1:], strict=True):
        assert (got is None) == (expected is None)
        assert got is None or np.allclose(got, expected, atol=1e-7)


@pytest.mark.backend_neutral
def test_networks_without_gates_or_maps_show_the_rest_and_why():
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(inputs)))
    explorer = Explorer(model, Preprocessing(8, 1.0))
    page = Page(explorer, "Title")
    texts = page.shown(np.zeros((8, 8, 3), "uint8"), "the predicted one", [], [])
    assert "class 2" in texts[0] and texts[1].count("<img") == 1 and not texts[2]
    facts = facts_section(explorer, {})
    assert len(explorer.missing) == 2 and "SE blocks" in facts and "in SE layers" not in facts


@pytest.mark.backend_neutral
def test_single_blocks_go_before_their_stage(explorer):
    kinds = Page(explorer, "Title").kinds(["layer2_0_se"], ["layer2_0_se"], ["mean gates"] * 2)
    assert kinds == {"layer1_0_se": MEAN, "layer2_0_se": ONE}
    assert set(Page(explorer, "Title").kinds(None, None, ["own gates"] * 2).values()) == {OWN}


@pytest.mark.backend_neutral
def test_names_are_text_and_changes_are_said(explorer, pixels):
    scores = np.linspace(0.19, 0.01, 10)  # The first class is the likeliest.
    view = explorer.view(pixels, {"layer2_0_se": ONE})
    text = classes_section(dataclasses.replace(view, scores=scores, changed=scores[::-1]), NAMES)
    assert "&lt;b&gt;bold&lt;/b&gt; has become class 9." in text and "<b>" not in text
    assert "before" in text and "class_1" not in text and "+18.0" in text


@pytest.mark.backend_neutral
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_images_are_known_by_what_they_hold(form, pixels, tmp_path):
    file = tmp_path / "upload" / "note.txt"
    file.parent.mkdir()
    file.write_bytes(file_of(pixels, form))
    got = take_upload(str(file), PREPROCESSING)
    assert got.shape == (8, 8, 3) and got.dtype == "uint8"
    if form in ("PNG", "BMP", "TIFF"):
        np.testing.assert_array_equal(got, pixels)
    assert not file.parent.exists()


@pytest.mark.backend_neutral
def test_what_is_no_image_is_refused_and_deleted(explorer, pixels, tmp_path):
    png = file_of(pixels)
    for content in (b"no image", b"", png[:40], file_of(pixels, "EPS")):
        file = tmp_path / "photo.png"
        file.write_bytes(content)
        image, dropped, *texts = Page(explorer, "Title").opened(str(file), "the predicted one")
        assert image is None and dropped is None and "The file" in texts[0]
        assert not file.exists()
        tmp_path.mkdir(exist_ok=True)
    with pytest.raises(ValueError, match="MB"):
        decode_image(png + bytes(MOST_BYTES), PREPROCESSING)
    wide = Image.new("1", (100_000, 2_000))
    file = io.BytesIO()
    wide.save(file, "PNG")
    with pytest.raises(ValueError, match="pixels"):
        decode_image(file.getvalue(), PREPROCESSING)


@pytest.mark.backend_neutral
def test_only_old_uploads_are_swept(tmp_path, monkeypatch):
    (tmp_path / "upload").mkdir()
    (tmp_path / "upload" / "file").touch()
    delete_old(str(tmp_path))
    assert (tmp_path / "upload" / "file").exists()
    monkeypatch.setattr("time.time", lambda: 1e12)
    delete_old(str(tmp_path))
    assert not (tmp_path / "upload" / "file").exists()


@pytest.mark.backend_neutral
def test_an_untrained_network_is_asked_for_by_name():
    model = resolve_model("seresnet20", "none")
    assert model.network.output_shape == (None, 10) and model.class_names[6] == "frog"
    assert model.preprocessing.size == 32


@pytest.mark.backend_neutral
def test_what_is_wrong_is_said_before_anything_is_built(monkeypatch, capsys):
    assert cli.main(["explore", "seresnet20", "--port", "70000"]) == 2
    assert "--port" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "gradio", None)  # as if it were not installed
    assert cli.main(["explore", "seresnet20"]) == 2
    assert "gradio" in capsys.readouterr().err
