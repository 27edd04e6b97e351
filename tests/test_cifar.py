"""The networks for small images give the logits of another implementation, and shake-shake shakes.

`cifar_goldens.json.gz` has what imgclsmob (tf2cv 0.0.18 under tf-keras 2.21) says of four networks
whose weights are generated from their names there: the names, by ours, and the logits.
"""

import gzip
import json
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import run
from generated import SEED, image

from keras_se.applications import SEShakeEven29_2x4x64d, get_model
from keras_se.applications.cifar import preactivated_bottleneck
from keras_se.graph.complexity import trainable_parameters
from keras_se.layers import ShakeShake, SqueezeExcite
from keras_se.weights import load_keras_weights

PATH = Path(__file__).parent / "cifar_goldens.json.gz"
GOLDENS = json.loads(gzip.decompress(PATH.read_bytes()))


def generated(name, kind, shape):
    """A weight of imgclsmob; `small_` ones end a residual branch."""
    random = np.random.Generator(np.random.PCG64(zlib.crc32(f"{SEED}:{name}".encode())))
    if kind == "moving_variance":
        return random.uniform(0.5, 1.5, shape)
    if kind in ("moving_mean", "beta", "bias"):
        return 0.1 * random.standard_normal(shape)
    if kind.endswith("gamma"):
        return random.uniform(*((0.1, 0.3) if kind == "small_gamma" else (0.8, 1.2)), shape)
    scale = np.sqrt(2 / np.prod(shape[:-1])) * (0.2 if kind == "small_kernel" else 1.0)
    return scale * random.standard_normal(shape)


@pytest.fixture(scope="module", params=GOLDENS)
def network(request):
    golden = GOLDENS[request.param]
    row = get_model(request.param)
    model = row(weights=None, classes=10, classifier_activation=None)
    shapes = {variable.path: tuple(variable.shape) for variable in model.weights}
    values = {
        path: generated(name, kind, shapes[path]).astype("float32")
        for path, (name, kind) in golden["weights"].items()
    }
    load_keras_weights(model, values)
    return golden, model


def test_logits_are_those_of_imgclsmob(network):
    golden, model = network
    expected = np.array(golden["logits"])
    difference = np.abs(run(model, image(32, 32))[0] - expected).max()
    assert difference < 2e-6 * np.abs(expected).max()
    assert trainable_parameters(model) == golden["parameters"]


def test_a_bias_of_one_gate_moves_the_logits(network):
    golden, model = network
    gate = next(layer for layer in model.layers if isinstance(layer, SqueezeExcite))
    before = gate.fc2.bias.numpy().copy()
    try:
        gate.fc2.bias.assign(np.zeros_like(before))
        moved = np.abs(run(model, image(32, 32))[0] - golden["logits"]).max()
    finally:
        gate.fc2.bias.assign(before)
    assert moved > 1e-4 * np.abs(golden["logits"]).max()


@pytest.mark.parametrize(
    ("name", "depth", "legal"),
    (
        ("SEResNet20", 21, "6 n + 2"),
        ("SEPreResNet164", 160, "9 n + 2"),
        ("SEWideResNet16_8", 15, "6 n + 4"),
    ),
)
def test_a_depth_that_does_not_divide_is_refused(name, depth, legal):
    row = get_model(name)
    inputs = keras.Input((32, 32, 3))
    with pytest.raises(ValueError) as raised:
        row.fields["trunk"](inputs, None, depth=depth, **WIDEN.get(name, {}))
    assert legal in str(raised.value)
    assert str(depth) in str(raised.value)


WIDEN = {"SEWideResNet16_8": {"widen": 8}, "SEPreResNet164": {"block": preactivated_bottleneck}}
BRANCHES = [np.full((64, 3, 3, 2), value, "float32") for value in (1.0, 0.0)]


def test_shake_shake_averages_exactly_at_inference():
    np.testing.assert_array_equal(
        run(ShakeShake(), BRANCHES, exactly=True), np.full((64, 3, 3, 2), 0.5)
    )


def test_shake_shake_draws_one_fraction_for_each_image():
    layer = ShakeShake(seed=1)
    mixed = keras.ops.convert_to_numpy(layer(BRANCHES, training=True))
    fractions = mixed[:, 0, 0, 0]
    np.testing.assert_allclose(mixed, np.broadcast_to(fractions[:, None, None, None], mixed.shape))
    assert 0 <= fractions.min() < 0.1
    assert 0.9 < fractions.max() <= 1
    again = keras.ops.convert_to_numpy(layer(BRANCHES, training=True))
    assert np.abs(again - mixed).max() > 0.1
    same = keras.ops.convert_to_numpy(ShakeShake(seed=1)(BRANCHES, training=True))
    np.testing.assert_array_equal(same, mixed)


def test_shake_shake_gradients_are_of_another_mixture():
    """The gradient of the first branch is a fraction in [0, 1] that is not that of its value."""
    forward, backward = mixture_and_gradient(ShakeShake(seed=4))
    assert backward.min() >= 0
    assert backward.max() <= 1
    assert abs(np.corrcoef(forward, backward)[0, 1]) < 0.4
    assert np.abs(forward - backward).max() > 0.3


def test_shake_even_sends_each_branch_half_of_the_gradient():
    layer = ShakeShake(seed=4, even=True)
    forward, backward = mixture_and_gradient(ShakeShake.from_config(layer.get_config()))
    np.testing.assert_array_equal(backward, 0.5)
    assert np.ptp(forward) > 0.8
    np.testing.assert_array_equal(forward, mixture_and_gradient(layer)[0])


def test_what_is_neither_even_nor_not_is_refused():
    with pytest.raises(ValueError, match=r"`even` must be .* Received: even='no'"):
        ShakeShake(even="no")


def test_files_of_before_even_are_read():
    config = ShakeShake(seed=1).get_config()
    del config["even"]
    assert ShakeShake.from_config(config).even is False


def test_shake_even_is_the_resnext_of_its_authors():
    """Layers and parameters of models/shakeshake.lua in xgastaldi/shake-shake, for CIFAR-100."""
    model = SEShakeEven29_2x4x64d(weights=None, classes=100, se=False)
    expected, parameters, before = [(3, 64, 3, 1, 1)], 3 * 64 * 9 + 2 * 64, 64
    for wide, first in ((256, 1), (512, 2), (1024, 2)):
        for strides in (first, 1, 1):
            branch = [(before, wide, 1, 1, 1), (wide, wide, 3, strides, 4), (wide, wide, 1, 1, 1)]
            project = [(before, wide, 1, strides, 1)] if before != wide else []
            for one in (*branch, *branch, *project):
                expected.append(one)
                parameters += one[0] * one[1] * one[2] ** 2 // one[4] + 2 * wide
            before = wide
    convolutions = [one for one in model.layers if isinstance(one, keras.layers.Conv2D)]
    given = [
        (
            one.groups * one.kernel.shape[2],
            one.filters,
            one.kernel_size[0],
            one.strides[0],
            one.groups,
        )
        for one in convolutions
    ]
    assert sorted(given) == sorted(expected)
    assert trainable_parameters(model) == parameters + 1024 * 100 + 100
    # Two branches of four groups have what ResNeXt-29 8x64d has, by arXiv:1611.05431, table 7.
    assert round((parameters + 10250) / 1e6, 1) == 34.4
    shakes = [one for one in model.layers if isinstance(one, ShakeShake)]
    assert [one.even for one in shakes] == [True] * 9


def mixture_and_gradient(layer):
    """For each image, the fraction of the first branch, and that of the gradient it gets."""
    first, second = (np.ones((64, 1), "float32"), np.zeros((64, 1), "float32"))
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tensor = tf.constant(first)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            mixed = layer([tensor, tf.constant(second)], training=True)
        gradient = tape.gradient(mixed, tensor)
    elif keras.backend.backend() == "jax":
        import jax

        def total(tensor):
            mixed = layer([tensor, second], training=True)
            return mixed.sum(), mixed

        gradient, mixed = jax.grad(total, has_aux=True)(first)
    else:
        import torch

        tensor = torch.tensor(first, requires_grad=True)
        mixed = layer([tensor, torch.tensor(second)], training=True)
        (gradient,) = torch.autograd.grad(mixed.sum(), tensor)
        mixed = mixed.detach()
    return np.asarray(mixed)[:, 0], np.asarray(gradient)[:, 0]


def test_shake_shake_wants_two_branches_of_one_shape():
    with pytest.raises(ValueError, match=r"two inputs .* \(None, 4\), \(None, 5\)"):
        ShakeShake()([keras.Input((4,)), keras.Input((5,))])
