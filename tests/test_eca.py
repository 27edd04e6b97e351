"""The layer of ECA-Net, against NumPy, and wherever a block of SE may be."""

from functools import partial
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from conftest import keras_setting, run
from generated import image
from random_statistics import randomized
from tiny import SMALL

from keras_se import EfficientChannelAttention, SqueezeExcite, complexity
from keras_se.applications import SEResNet20, get_model
from keras_se.export import FORMATS, export_model, load_exported
from keras_se.graph.gates import tap_gates
from keras_se.surgery import insert_se, remove_se
from keras_se.weights import export_state_dict, load_state_dict


def by_hand(x, kernel):
    """Gates of maps `(batch, height, width, channels)`, in float64."""
    means = np.pad(x.astype("float64").mean((1, 2)), ((0, 0), (len(kernel) // 2,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(means, len(kernel), 1)
    return 1 / (1 + np.exp(-(windows @ kernel)))


FORMATS_OF_GRAPHS = ["saved_model", "onnx", "onnx_fixed", "openvino", "litert", "keras"]


@pytest.mark.parametrize("name", FORMATS_OF_GRAPHS)
def test_it_is_exported(tmp_path, name):
    if not all(map(find_spec, FORMATS[name].packages)):
        pytest.skip("this environment cannot write it")
    if FORMATS[name].tensorflow and keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow writes it")
    block = partial(EfficientChannelAttention, 5, identity_start=name == "onnx")
    model = randomized(SMALL(weights=None, classes=4, input_shape=(16, 16, 3), se=block))
    images = np.concatenate([image(16, 16, seed=seed) for seed in range(2)])
    path = tmp_path / f"model{FORMATS[name].suffix or ''}"
    export_model(model, path, name)
    expected, found = run(model, images), load_exported(path)(images)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["onnx_int8", "openvino_int8", "litert_int8"])
def test_it_is_exported_in_integers(tmp_path, name):
    if not all(map(find_spec, FORMATS[name].packages)):
        pytest.skip("this environment cannot write it")
    if FORMATS[name].tensorflow and keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow writes it")
    model = SMALL(weights=None, classes=4, input_shape=(16, 16, 3), se=EfficientChannelAttention)
    images = np.concatenate([image(16, 16, seed=seed) for seed in range(8)])
    path = tmp_path / f"model{FORMATS[name].suffix}"
    export = export_model(randomized(model), path, name, calibration=images)
    assert export.agreement >= 0.75 and export.difference < 0.1


def maps(channels=20):
    return np.random.default_rng(0).standard_normal((2, 5, 7, channels)).astype("float32")


@pytest.mark.parametrize("size", (1, 3, 5))
def test_gates_are_those_of_a_sum_over_neighbors(size):
    layer, x = EfficientChannelAttention(size), maps()
    gates = keras.ops.convert_to_numpy(layer.excitation(x))
    expected = by_hand(x, layer.conv.kernel.numpy()[:, 0, 0].astype("float64"))
    np.testing.assert_allclose(gates[:, 0, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(run(layer, x), x * expected[:, None, None], rtol=1e-5, atol=1e-6)
    with keras_setting(image_data_format="channels_first"):
        first = EfficientChannelAttention(size)
        first.build((None, 20, 5, 7))
    first.set_weights(layer.get_weights())
    result = run(first, x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(result, run(layer, x), rtol=1e-5, atol=1e-6)


def test_the_kernel_is_as_wide_as_in_the_paper():
    # Of timm's EcaModule.
    sizes = {16: 3, 64: 3, 128: 5, 256: 5, 512: 5, 1536: 5, 2048: 7}
    for channels, size in sizes.items():
        layer = EfficientChannelAttention()
        layer.build((None, 4, 4, channels))
        assert layer.count_params() == size


@pytest.mark.parametrize("size", (0, 2, -1, 3.5))
def test_other_kernels_are_refused(size):
    with pytest.raises(ValueError, match="kernel_size"):
        EfficientChannelAttention(size)


def test_it_stands_wherever_a_block_of_se_may_be(tmp_path):
    """As the factory of a network: saved, exported, loaded, counted, tapped and taken out."""
    build = partial(SEResNet20, weights=None, classes=4, input_shape=(16, 16, 3))
    model = build(se=EfficientChannelAttention)
    images = image(16, 16)
    expected = run(model, images, exactly=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(run(loaded, images, exactly=True), expected)
    state = export_state_dict(model)
    assert state["layer1.0.se.conv.weight"].shape == (1, 1, 3)
    other = build(se=EfficientChannelAttention)
    load_state_dict(other, state)
    np.testing.assert_array_equal(run(other, images, exactly=True), expected)
    tapped, gates = tap_gates(model)
    assert [one.channels for one in gates] == [16] * 3 + [32] * 3 + [64] * 3
    np.testing.assert_allclose(run(tapped, images), expected, rtol=1e-4, atol=1e-6)
    plain, removals = remove_se(model, verbose=False)
    assert [one.channels for one in removals] == [one.channels for one in gates]
    costs, without = complexity(model), complexity(plain)
    assert costs.parameters - without.parameters == 9 * 3
    assert costs.multiply_adds - without.multiply_adds == 9 * 3 * (16 + 32 + 64) // 3


def test_inserted_blocks_change_nothing_until_they_are_trained():
    plain = SEResNet20(weights=None, classes=4, input_shape=(16, 16, 3), se=False)
    for se in (EfficientChannelAttention, partial(EfficientChannelAttention, 7)):
        new = insert_se(plain, se=se, verbose=False)
        blocks = [layer for layer in new.layers if isinstance(layer, EfficientChannelAttention)]
        assert len(blocks) == 9
        np.testing.assert_allclose(run(new, image(16, 16)), run(plain, image(16, 16)), rtol=1e-6)
    assert {block.conv.kernel.shape[0] for block in blocks} == {7}
    assert not any(type(layer) is SqueezeExcite for layer in new.layers)
    with pytest.raises(ValueError, match="`se`"):
        insert_se(plain, se=lambda **given: keras.layers.ReLU(), verbose=False)


def test_timms_names_give_the_networks():
    assert get_model("ecaresnet50t").name == "ECAResNet50T"
    assert get_model("eca_resnext26ts").name == "ECAResNeXt26TS"
