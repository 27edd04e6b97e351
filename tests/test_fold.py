"""Folded networks give what they gave, the squeeze before the convolution where that is exact."""

import keras
import numpy as np
import pytest
from conftest import each, keras_setting
from random_statistics import assert_same_outputs, images, outputs, randomized
from shallow import shallow

from keras_se import SqueezeExcite, applications
from keras_se.surgery import fold, insert_se

# The smallest network of each way to build a block.
NETWORKS = (
    "SEResNet18",
    "SEResNet50",
    "SEResNet50D",
    "SEResNeXt26D_32x4d",
    "SEResNeXt26TS",
    "SEResNet33TS",
    "LegacySEResNet18",
    "LegacySEResNeXt26_32x4d",
    "LegacySENet154",
    "SEInceptionV3",
    "SEInceptionResNetV2",
    "SEBNInception",
    "SEMobileNet",
    "SEMobileNetV2",
    "MobileNetV3Small",
    "SEVGG11",
    "SEShuffleNet",
    "SEDenseNet121",
    "SEResNet20",
    "SEPreResNet20",
    "SEResNet164",
    "SEPreResNet164",
    "SEWideResNet16_8",
    "SEShakeShake26_2x96d",
    "SEShakeEven29_2x4x64d",
)
# So deep that with random statistics float32 and float64 differ by more than the largest output.
CHAOTIC = ("SEDenseNet121",)
FAST = ("SEResNet18", "SEResNeXt26TS", "MobileNetV3Small", "SEVGG11", "SEResNet20")
# Blocks that others have too; test_export_matrix.py folds one of each family again.
LARGE = (
    *("SEResNeXt26D_32x4d", "SEResNet33TS", "LegacySEResNeXt26_32x4d", "LegacySENet154"),
    *("SEInceptionV3", "SEBNInception", "SEMobileNet"),
    *("SEPreResNet20", "SEWideResNet16_8", "SEShakeShake26_2x96d"),
)


def blocks_of(model):
    return [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]


def moved(folded, names):
    """The blocks that pool something else than the map that they multiply."""
    return [
        name
        for name in names
        if folded.get_layer(f"{name}_pool").input is not folded.get_layer(name).input[0]
    ]


@pytest.mark.parametrize("name", each(NETWORKS, FAST, LARGE))
def test_networks_of_the_zoo(name):
    row = shallow(applications.get_model(name))
    side = max(row.min_size, 40)
    shape, rtol = (side, side, 3), 1e-7 if name in CHAOTIC else 1e-5
    keras.utils.set_random_seed(0)
    dtype = "float64" if name in CHAOTIC else "float32"
    with keras_setting(floatx=dtype, dtype_policy=dtype):
        model = randomized(row(weights=None, include_top=False, pooling="avg", input_shape=shape))
        folded = fold(model)
        assert not blocks_of(folded)
        assert_same_outputs(model, folded, images(2, *shape).astype(dtype), rtol=rtol)
    # Every bottleneck's block moves, but none behind a 3x3 convolution or an activation.
    names = [layer.name for layer in blocks_of(model)]
    if name in ("SEResNet50", "SEResNet50D", "SEResNeXt26D_32x4d", "SEResNet164"):
        assert moved(folded, names) == names
    if name in ("SEResNet18", "SEVGG11", "MobileNetV3Small", "SEInceptionV3"):
        assert moved(folded, names) == []


def of_one_block(convolution, **arguments):
    """A convolution and a block behind it."""
    inputs = keras.Input((8, 8, 6))
    x = convolution(inputs)
    return randomized(keras.Model(inputs, SqueezeExcite(4, name="se", **arguments)(x)))


@pytest.mark.parametrize(
    ("convolution", "arguments", "moves"),
    [
        ({}, {}, True),
        ({"use_bias": False}, {}, True),
        ({}, {"use_bias": False}, True),
        ({}, {"identity_start": True}, True),
        ({}, {"gate": "hard_sigmoid", "activation": "silu"}, True),
        ({}, {"squeeze": "max"}, False),
        ({"activation": "relu"}, {}, False),
        ({"strides": 2}, {}, False),
        ({"kernel_size": 3, "padding": "same"}, {}, False),
        ({"groups": 2}, {}, False),
    ],
)
def test_the_squeeze_moves_only_where_that_is_exact(convolution, arguments, moves):
    convolution = {"filters": 16, "kernel_size": 1} | convolution
    model = of_one_block(keras.layers.Conv2D(name="conv", **convolution), **arguments)
    folded = fold(model)
    assert bool(moved(folded, ["se"])) == moves
    assert_same_outputs(model, folded, images(3, 8, 8, 6), rtol=2e-6)
    channels = 6 if moves else 16
    assert folded.get_layer("se_fc1").kernel.shape[-2] == channels


def test_a_squeeze_moved_where_it_is_not_exact_would_be_seen():
    """The bite: of a strided convolution, the mean before it is another one."""
    convolution = keras.layers.Conv2D(16, 1, strides=2, name="conv")
    model = of_one_block(convolution)
    right = fold(model)
    inputs = images(3, 8, 8, 6)
    wrong = np.mean(inputs, axis=(1, 2), keepdims=True)
    pooled = right.get_layer("se_pool")(keras.ops.convert_to_tensor(inputs[:, ::2, ::2]))
    pooled = keras.ops.convert_to_numpy(pooled)
    assert np.abs(pooled - wrong).max() > 0.05


@pytest.mark.parametrize("rank", [3, 4, 5])
def test_maps_of_any_rank(rank):
    convolution = {3: keras.layers.Conv1D, 4: keras.layers.Conv2D, 5: keras.layers.Conv3D}[rank]
    inputs = keras.Input((*[5] * (rank - 2), 6))
    x = convolution(16, 1)(inputs)
    model = randomized(keras.Model(inputs, SqueezeExcite(4, name="se")(x)))
    folded = fold(model)
    assert moved(folded, ["se"]) == ["se"]
    assert_same_outputs(model, folded, images(2, *[5] * (rank - 2), 6), rtol=2e-6)


def test_a_block_that_is_called_twice_stays():
    block = SqueezeExcite(4, name="se")
    inputs = keras.Input((8, 8, 6))
    first = block(keras.layers.Conv2D(16, 1)(inputs))
    second = block(keras.layers.Conv2D(16, 1)(inputs))
    model = randomized(keras.Model(inputs, keras.layers.Add()([first, second])))
    folded = fold(model)
    assert len(blocks_of(folded)) == 1
    assert_same_outputs(model, folded, images(2, 8, 8, 6))


@pytest.mark.slow
def test_a_network_of_keras_with_blocks():
    model = keras.applications.ResNet50(
        weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3)
    )
    model = randomized(insert_se(randomized(model), verbose=False))
    folded = fold(model)
    assert len(moved(folded, [layer.name for layer in blocks_of(model)])) == 16
    assert_same_outputs(model, folded, images(2, 32, 32, 3), rtol=1e-5)


def test_half_precision_keeps_its_gates_in_full_precision():
    with keras_setting(dtype_policy="mixed_bfloat16"):
        model = of_one_block(keras.layers.Conv2D(16, 1, name="conv"))
        folded = fold(model)
    assert folded.get_layer("se_fc1").compute_dtype == "float32"
    assert folded.get_layer("se").compute_dtype == "bfloat16"
    assert_same_outputs(model, folded, images(3, 8, 8, 6), rtol=2e-2)


def test_what_is_not_functional_is_refused():
    with pytest.raises(ValueError, match="functional"):
        fold(keras.layers.Dense(3))


# Keras says of each layer that has no weights that it is left as it is.
@pytest.mark.filterwarnings("ignore:Layer:UserWarning")
def test_a_folded_network_quantizes_and_reloads(tmp_path):
    """Keras's own 8-bit weights: the outputs move by a few steps of 8 bits, and reload exactly."""
    model = randomized(applications.SEResNet20(weights=None, classes=10, input_shape=(16, 16, 3)))
    inputs = images(4, 16, 16, 3)
    (expected,) = outputs(fold(model), inputs)
    quantized = fold(model)
    quantized.quantize("int8")
    (result,) = outputs(quantized, inputs)
    assert 0 < np.abs(result - expected).max() < 0.1 * np.ptp(expected)
    quantized.save(tmp_path / "int8.keras")
    (reloaded,) = outputs(keras.saving.load_model(tmp_path / "int8.keras"), inputs)
    np.testing.assert_allclose(reloaded, result, rtol=0, atol=1e-6)
