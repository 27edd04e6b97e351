"""The layer against a NumPy oracle in float64, on every backend."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_se.layers import SqueezeExcite

FUNCTIONS = {
    None: lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "hard_sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
}


@keras.saving.register_keras_serializable("test_layer")
def registered_gate(z):
    return 1.5 * ops.sigmoid(z)


def plain_gate(z):
    return 0.5 * ops.tanh(z) + 1.0


def numpy(tensor):
    return ops.convert_to_numpy(tensor).astype("float64")


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def oracle(x, weights, squeeze="avg", activation="relu", gate="sigmoid", data_format=None):
    """The gates, ready to broadcast, from `[kernel, bias, kernel, bias]` or two kernels."""
    space = tuple(range(2, x.ndim) if data_format == "channels_first" else range(1, x.ndim - 1))
    x = x.astype("float64")
    if squeeze == "none":
        z = np.moveaxis(x, 1, -1) if data_format == "channels_first" else x
    else:
        z = {"avg": np.mean, "max": np.max}[squeeze](x, axis=space)
    step = len(weights) // 2
    for at, name in ((0, activation), (step, gate)):
        kernel, *bias = (weight.astype("float64") for weight in weights[at : at + step])
        z = FUNCTIONS[name](z @ kernel + sum(bias))
    if squeeze == "none":
        return np.moveaxis(z, -1, 1) if data_format == "channels_first" else z
    return np.expand_dims(z, space)


def weighted(shape, **arguments):
    """A built layer whose weights are all drawn, and these weights."""
    layer = SqueezeExcite(**{"ratio": 2} | arguments)
    layer.build(shape)
    weights = [draw(*one.shape, seed=1 + at) for at, one in enumerate(layer.weights)]
    if layer.use_bias:
        weights[1] = np.abs(weights[1])  # or both ReLU units may be dead, and nothing learns
    layer.set_weights(weights)
    return layer, weights


def assert_close(found, expected, tolerance=1e-6):
    found = numpy(found)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def assert_matches_oracle(layer, x, weights, **options):
    gates = oracle(x, weights, **options)
    assert gates.std() > 0.01  # or the gates are dead or all the same
    assert_close(layer.excitation(x), gates)
    assert_close(layer(x), x * gates)


FIRST = {"data_format": "channels_first"}


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 7, 6), {}),
        ((2, 5, 4, 6), {"squeeze": "max", "gate": "hard_sigmoid"}),
        ((2, 3, 4, 2, 6), {"gate": "tanh"}),
        ((2, 6, 7), {"gate": "relu", "squeeze": "max"} | FIRST),
        ((2, 5, 4, 6), {"squeeze": "none"}),
        ((2, 6, 3, 4, 2), {"squeeze": "none", "gate": "tanh"} | FIRST),
        ((2, 6, 5, 4), FIRST),
        ((2, 6, 3, 4, 2), {"activation": "silu", "gate": "softplus", "squeeze": "max"} | FIRST),
        ((2, 5, 4, 6), {"activation": None, "gate": None}),
    ],
)
def test_matches_the_oracle(shape, options, use_bias):
    x = draw(*shape)
    layer, weights = weighted(shape, use_bias=use_bias, **options)
    assert len(weights) == (4 if use_bias else 2)
    assert_matches_oracle(layer, x, weights, **options)


@pytest.mark.parametrize(
    ("gate", "total"),
    [("sigmoid", 2.4310483256), ("hard_sigmoid", 2.3), ("relu", 1.8), ("tanh", 1.5446600497)],
)
def test_gates_of_a_worked_example(gate, total):
    # Means 0.6, 0.7, 0.8, 0.9; units 3 and relu(-3) = 0; logits 0, 0.3, 0.6, 0.9.
    layer = SqueezeExcite(units=2, gate=gate)
    x = np.arange(16, dtype="float32").reshape(1, 2, 2, 4) / 10
    layer.build(x.shape)
    second = np.array([[0, 0.1, 0.2, 0.3], [9, 9, 9, 9]])
    layer.set_weights([np.tile([1.0, -1.0], (4, 1)), np.zeros(2), second, np.zeros(4)])
    assert numpy(layer.excitation(x)).sum() == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("options", [{}, FIRST])
def test_a_shared_layer_in_a_model_of_unknown_size(options):
    inputs = keras.Input((4, None, None) if options else (None, None, 4))
    layer, weights = weighted(inputs.shape, **options)
    model = keras.Model(inputs, layer(layer(inputs)))
    assert model.output_shape == inputs.shape and len(model.weights) == 4
    for side in (1, 4):
        x = draw(2, 4, side, 4)
        once = x * oracle(x, weights, **options)
        assert_close(model(x), once * oracle(once, weights, **options))


def test_one_layer_serves_every_size_and_rank():
    layer, weights = weighted((None, 4, 4, 6))
    for space in ((4, 4), (9, 2), (5,), (2, 3, 4)):
        assert_matches_oracle(layer, draw(3, *space, 6), weights)


@pytest.mark.parametrize(
    ("arguments", "widths"),
    [
        ({}, {8: 1, 64: 4, 100: 6, 256: 16, 2048: 128}),  # the paper: C // ratio
        ({"ratio": 2.5}, {10: 4, 12: 4}),
        ({"ratio": np.int64(4)}, {64: 16}),
        ({"ratio": np.float32(4)}, {64: 16}),
        ({"units": 3, "divisor": 8}, {64: 3}),
        # timm 1.0: make_divisible(C / 16, 8, round_limit=0.0), (C / 4, 8, round_limit=0.9).
        ({"divisor": 8}, {64: 8, 128: 8, 256: 16, 512: 32, 1024: 64, 2048: 128}),
        ({"ratio": 4, "divisor": 8}, {16: 8, 40: 16, 72: 24, 88: 24, 120: 32, 200: 48, 672: 168}),
        ({"ratio": 2, "divisor": 64}, {8: 64}),
    ],
)
def test_bottleneck_width(arguments, widths):
    def width(channels):
        layer = SqueezeExcite(kernel_initializer="zeros", **arguments)
        layer.build((None, None, channels))
        return layer.fc1.kernel.shape[1]

    assert {channels: width(channels) for channels in widths} == widths


def train(x, target, *layers, jit_compile=False):
    """One step of plain gradient descent: the loss, and what each weight lost."""
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers])
    before = [numpy(weight) for weight in model.weights]
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=jit_compile)
    loss = model.fit(x, target, batch_size=len(x), verbose=0).history["loss"][0]
    return loss, [old - numpy(new) for old, new in zip(before, model.weights, strict=True)]


def slopes(loss, weights):
    """The central difference of `loss` for every number of `weights`, in one row."""
    point = np.concatenate([weight.ravel() for weight in weights]).astype("float64")
    ends = np.cumsum([weight.size for weight in weights])

    def at(moved):
        parts = zip(np.split(moved, ends[:-1]), weights, strict=True)
        return loss([part.reshape(weight.shape) for part, weight in parts])

    steps = 1e-5 * np.eye(point.size)
    return np.array([(at(point + step) - at(point - step)) / 2e-5 for step in steps])


@pytest.mark.parametrize("squeeze", ["avg", "max"])
@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid", "relu", "tanh"])
def test_gradient_of_every_weight(gate, squeeze):
    def loss(some):
        return np.mean((x * oracle(x, some, squeeze, gate=gate) - target) ** 2)

    x, target = draw(3, 4, 3, 4), draw(3, 4, 3, 4, seed=9)
    layer, weights = weighted(x.shape, gate=gate, squeeze=squeeze)
    # On PyTorch, a compiled step needs a C++ compiler.
    compiled = gate == "sigmoid" and keras.backend.backend() != "torch"
    found, changes = train(x, target, layer, jit_compile=compiled)
    assert found == pytest.approx(loss(weights), rel=1e-5)
    assert min(np.abs(change).max() for change in changes) > 1e-3
    assert_close(
        np.concatenate([change.ravel() for change in changes]), slopes(loss, weights), 1e-4
    )


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid", "softplus", "softmax"])
def test_identity_start_changes_nothing(gate, dtype):
    layer = SqueezeExcite(2, gate=gate, identity_start=True, dtype=dtype)
    x = np.round(draw(2, 3, 3, 7))  # which bfloat16 holds
    np.testing.assert_array_equal(numpy(layer(x)), x)
    np.testing.assert_array_equal(numpy(layer.excitation(x)), np.ones((2, 1, 1, 7)))


# The slope of twice the gate at zero: 2 / 4 for the sigmoid, 2 / 6 for the hard one.
@pytest.mark.parametrize(("gate", "slope"), [("sigmoid", 1 / 2), ("hard_sigmoid", 1 / 3)])
def test_identity_start_learns_over_its_whole_range(gate, slope):
    x, target = draw(3, 4, 3, 4), draw(3, 4, 3, 4, seed=9)
    layer = SqueezeExcite(units=2, gate=gate, identity_start=True, bias_initializer="ones")
    layer.build(x.shape)
    hidden = np.maximum(x.mean((1, 2)) @ numpy(layer.fc1.kernel) + 1, 0)
    logits = slope * (2 * (x - target) * x / x.size).sum((1, 2))
    _, changes = train(x, target, layer)
    for change, expected in zip(changes[2:], (hidden.T @ logits, logits.sum(0)), strict=True):
        assert_close(change, expected, 1e-4)
    _, changes = train(x, target, layer)
    assert all(np.abs(change).max() > 1e-5 for change in changes)
    layer.fc2.bias.assign([-99, -99, 99, 99])
    np.testing.assert_allclose(numpy(layer.excitation(x))[0, 0, 0], [0, 0, 2, 2], atol=1e-6)


@pytest.mark.parametrize("squeeze", ["avg", "max"])
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_gates_are_stable_on_large_maps(dtype, squeeze):
    # Multiples of 8, which both halves hold; not so their means, and their sums are infinite.
    x = 1000 + 8 * np.round(4 * draw(1, 256, 256, 4) + [0.1, 0.2, 0.3, 0.4])
    layer, weights = weighted(x.shape, dtype=dtype, squeeze=squeeze)
    layer.set_weights([weights[0] / 2000, *weights[1:]])
    gates = oracle(x, [weights[0] / 2000, *weights[1:]], squeeze)
    assert gates.min() > 0.05 and gates.max() < 0.95  # none is saturated
    half = ops.cast(x, layer.compute_dtype)
    np.testing.assert_allclose(numpy(layer.excitation(half)), gates, rtol=0, atol=1e-5)
    np.testing.assert_allclose(numpy(layer(half)), x * gates, rtol=1e-2)


@pytest.mark.parametrize(
    ("dtype", "output", "tolerance"),
    [
        ("float32", "float32", 1e-6),
        ("mixed_float16", "float16", 1e-3),
        (keras.DTypePolicy("mixed_bfloat16"), "bfloat16", 1e-2),
        ("bfloat16", "bfloat16", 3e-2),
        # Keras's means and products are of 32 bits, but for TensorFlow.
        ("float64", "float64", 1e-12 if keras.backend.backend() == "tensorflow" else 1e-6),
    ],
    ids=str,
)
def test_dtype_policy_of_the_layer(dtype, output, tolerance):
    if output == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless told so before it starts")
    x = draw(2, 5, 4, 6).astype("float64")
    layer, weights = weighted(x.shape, dtype=dtype)
    twin = SqueezeExcite.from_config(json.loads(json.dumps(layer.get_config())))
    twin.build(x.shape)
    twin.set_weights(weights)
    for one in (layer, twin):
        assert keras.backend.standardize_dtype(one(x).dtype) == output
        assert_close(one(x), x * oracle(x, weights), tolerance)


FULL = (
    FIRST
    | {"units": 3, "divisor": 4, "squeeze": "max", "activation": "silu", "trainable": False}
    | {"gate": "hard_sigmoid", "kernel_initializer": "glorot_uniform", "dtype": "mixed_bfloat16"}
    | {"bias_initializer": keras.initializers.Constant(0.5), "bias_regularizer": "l1"}
    | {"kernel_regularizer": keras.regularizers.L2(0.125)}
)


@pytest.mark.parametrize(
    ("arguments", "objects"),
    [
        ({"ratio": np.float32(2), "identity_start": True, "use_bias": False}, None),
        ({"gate": registered_gate}, None),
        ({"gate": plain_gate}, {"plain_gate": plain_gate}),
        (FULL, None),
    ],
    ids=["identity", "registered", "custom_objects", "full"],
)
def test_keras_file_round_trip(tmp_path, arguments, objects):
    inputs = keras.Input((4, None, None) if arguments is FULL else (None, None, 4))
    layer, _ = weighted(inputs.shape, **arguments)
    keras.Model(inputs, layer(inputs)).save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras", custom_objects=objects)
    config, default = model.layers[-1].get_config(), SqueezeExcite().get_config()
    assert config == layer.get_config()
    assert set(arguments) <= {key for key in config if config[key] != default[key]}
    x = draw(2, 4, 4, 4)
    np.testing.assert_array_equal(numpy(model(x)), numpy(layer(x)))
    if objects:
        with pytest.raises(TypeError, match="plain_gate"):
            keras.models.load_model(tmp_path / "model.keras")


def test_regularizers_add_to_the_losses():
    layer, weights = weighted(
        (None, 3, 6), kernel_regularizer=keras.regularizers.L2(0.5), bias_regularizer="l1"
    )
    losses = keras.Sequential([keras.Input((3, 6)), layer]).losses
    expected = 0.5 * sum((kernel**2).sum() for kernel in weights[::2])
    expected += 0.01 * sum(np.abs(bias).sum() for bias in weights[1::2])
    assert sum(numpy(loss) for loss in losses) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "seed", [None, 7, keras.random.SeedGenerator(7)], ids=["fresh", "seeded", "generator"]
)
def test_the_two_kernels_begin_differently(seed):
    initializer = keras.initializers.RandomNormal(5.0, seed=seed)
    layers = [SqueezeExcite(2, kernel_initializer=initializer) for _ in range(2)]
    for layer in layers:
        layer.build((None, 3, 3, 16))
        kernels = [numpy(layer.fc1.kernel).ravel(), numpy(layer.fc2.kernel).ravel()]
        assert abs(np.corrcoef(kernels)[0, 1]) < 0.5
        np.testing.assert_allclose(np.mean(kernels, axis=1), 5, atol=0.02)
    repeats = np.array_equal(numpy(layers[0].fc2.kernel), numpy(layers[1].fc2.kernel))
    assert repeats == isinstance(seed, int)


def test_a_frozen_layer_keeps_its_weights():
    x, target = draw(3, 4, 3, 4), draw(3, 4, 3, 4, seed=9)
    layer, _ = weighted(x.shape, trainable=False)
    for trainable in (False, True, False):
        if layer.trainable != trainable:  # the first is as constructed
            layer.trainable = trainable
        _, changes = train(x, target, layer, keras.layers.Dense(4))
        assert [np.abs(change).max() > 0 for change in changes] == [trainable] * 4 + [True] * 2


@pytest.mark.parametrize(
    ("argument", "values", "legal"),
    [
        ("ratio", (0, -1, True, float("nan"), float("inf"), "16", None), "a positive number"),
        ("units", (0, -1, True, 8.0, "8"), "a positive integer"),
        ("divisor", (0, 2.5, True, None), "a positive integer"),
        ("squeeze", ("", "sum", None, ["avg"], np.array(["avg"])), "one of 'avg', 'max', 'none'"),
        ("activation", ("", "rely", 3), "a name from keras.activations"),
        ("gate", ("", "sigmoidal", 3, {}), "a name from keras.activations"),
        ("use_bias", (1, None, "yes"), "one of True, False"),
        ("identity_start", (1, None, "yes"), "one of True, False"),
        ("kernel_initializer", ("", "he", 3), "a name from keras.initializers"),
        ("bias_initializer", ("", "he", 3), "a name from keras.initializers"),
        ("kernel_regularizer", ("", "l3", 0.1), "a name from keras.regularizers"),
        ("bias_regularizer", ("", "l3", 0.1), "a name from keras.regularizers"),
        ("data_format", ("", "NHWC", 3), "one of 'channels_last', 'channels_first'"),
    ],
)
def test_bad_arguments_are_refused(argument, values, legal):
    for value in values:
        with pytest.raises(ValueError, match=f"`{argument}` must be {legal}"):
            SqueezeExcite(**{argument: value})


@pytest.mark.parametrize("gate", ["relu", "tanh", None, "log_softmax"])
def test_identity_start_needs_a_gate_that_is_positive_at_zero(gate):
    with pytest.raises(ValueError, match=r"identity_start.*'sigmoid' or 'hard_sigmoid'"):
        SqueezeExcite(gate=gate, identity_start=True)


@pytest.mark.parametrize(
    ("inputs", "built", "message"),
    [
        (draw(2, 4), False, "at least one spatial axis"),
        (draw(2, 4), True, "spatial axis|min_ndim=3"),
        (draw(2, 3, 5), True, "axis -1 of input shape to have value 4"),
        (np.ones((2, 3, 4), "int32"), False, "floating-point"),
        (np.ones((2, 3, 4), "uint8"), True, "floating-point"),
        (keras.Input((4,)), False, "at least one spatial axis"),
        (keras.Input((3, None)), False, "known number of channels"),
        (keras.Input((3, 5)), True, "axis -1 of input shape to have value 4"),
        (keras.Input((3, 4), dtype="int32"), False, "floating-point"),
    ],
)
def test_bad_inputs_are_refused(inputs, built, message):
    layer = SqueezeExcite()
    if built:
        layer.build((None, 3, 4))
    with pytest.raises(ValueError, match=message):
        layer(inputs)
    symbolic = keras.utils.is_keras_tensor(inputs)
    with pytest.raises(ValueError, match="symbolic Keras tensor" if symbolic else message):
        layer.excitation(inputs)
