"""Rewriting graphs, and what is built on it, on small models with every kind of connection."""

import sys

import keras
import numpy as np
import pytest
from keras import layers, ops
from random_statistics import (
    assert_same_outputs,
    every_layer,
    images,
    outputs,
    randomised,
    values,
)

from keras_se import SqueezeExcite
from keras_se.applications import SEResNet20
from keras_se.surgery import (
    fold_batch_norm,
    insert_se,
    placements,
    remove_se,
    rewrite,
    table,
)

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def keep(node, copy):
    return None


def block(x, filters, name, strides=1):
    """A residual block of two convolutions."""
    y = layers.Conv2D(filters, 3, strides, "same", name=f"{name}_conv1")(x)
    y = layers.BatchNormalization(name=f"{name}_bn1")(y)
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = layers.Conv2D(filters, 3, 1, "same", use_bias=False, name=f"{name}_conv2")(y)
    y = layers.BatchNormalization(name=f"{name}_bn2")(y)
    skip = x
    if strides > 1:
        skip = layers.Conv2D(filters, 1, strides, name=f"{name}_skip")(x)
        skip = layers.BatchNormalization(name=f"{name}_skip_bn")(skip)
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([skip, y]))


def backbone(name="backbone"):
    inputs = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = block(block(x, 8, "b1"), 16, "b2", strides=2)
    return randomised(keras.Model(inputs, x, name=name))


class Stateful(layers.Layer):
    """A layer whose config does not say what it was made with."""

    def __init__(self, initial):
        super().__init__()
        self.factor = self.add_weight(shape=(), name="factor")
        self.factor.assign(initial[0])

    def call(self, inputs):
        return inputs * self.factor


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


class Tripled(keras.Model):
    """A functional model that does more than its graph."""

    def call(self, inputs, training=None, mask=None):
        return 3 * super().call(inputs, training=training)


def everything():
    """Shared layers and models, two inputs, a dictionary of outputs, operations, a Lambda."""
    left = keras.Input((16, 16, 3), name="left")
    right = keras.Input((16, 16, 3), name="right")
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    inner = backbone("inner")
    first, second = (inner(shared(x)) for x in (left, right))
    halves = ops.split(ops.concatenate([first, second * 0.5 + 1.0], axis=-1), 2, axis=-1)
    tokens = layers.Reshape((64, 16), name="tokens")(halves[0] - halves[1])
    attended = layers.MultiHeadAttention(2, 4, name="attention")(query=tokens, value=tokens)
    doubled = layers.Lambda(lambda x: 2 * x, name="doubled")(attended)
    sequence, state = layers.SimpleRNN(5, return_sequences=True, return_state=True, name="rnn")(
        doubled
    )
    normal = layers.BatchNormalization(name="batch_statistics")(sequence, training=True)
    model = keras.Model({"left": left, "right": right}, {"state": state, "deep": [normal]})
    return randomised(model)


def two_images():
    return {"left": images(2, 16, 16, 3), "right": images(2, 16, 16, 3, seed=2)}


# --- rewrite


def test_a_rewritten_model_gives_the_same_in_the_same_structure():
    model = everything()
    new = rewrite(model, keep)
    assert_same_outputs(model, new, two_images())
    result = new(two_images())
    assert set(result) == {"state", "deep"}
    assert isinstance(result["deep"], list)
    assert new.name == model.name
    assert new.count_params() == model.count_params()
    names = [one.name for one in model.operations]
    assert [one.name for one in new.operations] == names


def test_shared_layers_stay_shared():
    new = rewrite(everything(), keep)
    inner, shared = new.get_layer("inner"), new.get_layer("shared")
    kernel = shared.kernel
    before = outputs(new, two_images())
    kernel.assign(np.zeros(kernel.shape))
    inputs = two_images()
    after = outputs(new, inputs)
    # With the shared kernel at zero neither image matters, through whichever call.
    for side in inputs:
        other = outputs(new, inputs | {side: 5 * inputs[side]})
        for one, two in zip(after, other, strict=True):
            np.testing.assert_array_equal(one, two)
    assert np.abs(before[0] - after[0]).max() > 1e-3
    assert sum(layer is inner for layer in new.layers) == 1


def test_a_rewritten_model_saves_and_loads(tmp_path):
    model = backbone()
    new = insert_se(keras.Model(model.input, model(model.input)), verbose=False)
    new.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    assert_same_outputs(new, loaded, images(2, 16, 16, 3))


def test_training_one_model_leaves_the_other_alone():
    model = backbone()
    before, inputs = values(model), images(4, 16, 16, 3)
    new = rewrite(model, keep)
    new.compile("sgd", "mse")
    new.fit(inputs, np.ones((4, 8, 8, 16), "float32"), verbose=0, batch_size=2)
    for one, two in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(one, two)
    changed = [np.abs(a - b).max() for a, b in zip(before, values(new), strict=True)]
    assert sum(one > 0 for one in changed) > len(changed) / 2  # a bias before batch norm stays
    # Nor has either lost its buffers.
    model.compile("sgd", "mse")
    model.fit(inputs, np.ones((4, 8, 8, 16), "float32"), verbose=0, batch_size=2)
    assert np.isfinite(outputs(new, inputs)[0]).all()


def test_flags_policies_and_regularizers_stay():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, dtype="mixed_bfloat16", kernel_regularizer="l2", name="half")(inputs)
    x = layers.Conv2D(4, 3, dtype="float32", trainable=False, name="frozen")(x)
    attention = layers.MultiHeadAttention(1, 2, name="attention")
    tokens = layers.Reshape((16, 4), name="tokens")(x)
    model = keras.Model(inputs, attention(tokens, tokens))
    attention._query_dense.trainable = False
    new = rewrite(model, keep)
    assert [w.path for w in new.trainable_weights] == [w.path for w in model.trainable_weights]
    assert 0 < len(new.trainable_weights) < len(new.weights)
    assert new.get_layer("half").dtype_policy.name == "mixed_bfloat16"
    assert new.get_layer("frozen").dtype_policy.name == "float32"
    penalties = [ops.convert_to_numpy(one.losses[0]) for one in (model, new)]
    np.testing.assert_allclose(*penalties, rtol=1e-6)
    model.trainable = False
    assert not rewrite(model, keep).trainable_weights


def test_statistics_that_are_no_weights_are_copied():
    inputs = keras.Input((3,))
    normal = layers.Normalization(name="normal")
    normal.adapt(np.array([[1.0, 2, 3], [3, 6, 9]], "float32"))
    new = rewrite(keras.Model(inputs, normal(inputs)), keep)
    np.testing.assert_allclose(outputs(new, np.array([[3.0, 6, 9]]))[0], [[1, 1, 1]], rtol=1e-5)


def test_the_rule_applies_in_sequential_and_nested_models():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense")], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, layers.Dense(2, name="head")])
    seen = []

    def negate(node, copy):
        seen.append(node.operation.name)
        return (lambda x: -copy(x)) if node.operation.name == "dense" else None

    new = rewrite(model, negate)
    assert seen == ["dense", "inner", "head"]
    x = images(3, 4)
    weights = values(model)
    expected = -(x @ weights[0] + weights[1]) @ weights[2] + weights[3]
    np.testing.assert_allclose(outputs(new, x)[0], expected, rtol=1e-4, atol=1e-5)


def test_layers_are_replaced_and_left_out():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="one"), layers.Dense(4, name="two")]
    )
    double = layers.Dense(4, kernel_initializer=keras.initializers.Identity(2.0), name="double")
    actions = {"one": lambda x: x, "two": double}
    new = rewrite(model, lambda node, copy: actions[node.operation.name])
    x = images(3, 4)
    np.testing.assert_allclose(outputs(new, x)[0], 2 * x, rtol=1e-6)
    assert [one.name for one in new.layers[1:]] == ["double"]


def test_networks_deeper_than_the_recursion_limit():
    inputs = keras.Input((2,))
    x = inputs
    for i in range(sys.getrecursionlimit() // 20):
        branch = layers.Dense(2, name=f"dense{i}")(x)
        for j in range(20):
            branch = layers.Identity(name=f"identity{i}_{j}")(branch)
        x = layers.Add(name=f"add{i}")([x, branch])
    model = randomised(keras.Model(inputs, x))
    assert len(model._nodes_by_depth) > sys.getrecursionlimit()
    new = rewrite(model, keep)
    np.testing.assert_array_equal(outputs(model, images(2, 2)), outputs(new, images(2, 2)))


def test_models_that_cannot_be_rewritten_say_so():
    subclassed = Subclassed()
    subclassed(np.zeros((1, 3), "float32"))
    inputs = keras.Input((3,))
    functional = Tripled(inputs, layers.Dense(3)(inputs))
    for model in (subclassed, functional):
        for surgery in (fold_batch_norm, insert_se, placements, remove_se):
            with pytest.raises(ValueError, match=r"`model` must be .* which is subclassed"):
                surgery(model)
    with pytest.raises(ValueError, match="Sequential model that is not built"):
        rewrite(keras.Sequential([layers.Dense(2)]), keep)
    with pytest.raises(ValueError, match=r"`model` must be .* Received: Dense"):
        rewrite(layers.Dense(2), keep)


def test_layers_that_cannot_be_made_anew_say_so():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, Stateful(np.array([2.0]))(inputs))
    with pytest.raises(ValueError, match=r"'stateful.*' \(Stateful\) with weights.*get_config"):
        rewrite(model, keep)


def test_rules_that_are_not_legal_say_so():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(3, name="dense")(inputs))
    with pytest.raises(ValueError, match="`rule` must be a callable"):
        rewrite(model, "dense")
    with pytest.raises(ValueError, match=r"None or a callable.*'dense'.*7"):
        rewrite(model, lambda node, copy: 7)
    with pytest.raises(ValueError, match=r"number of tensors that 'dense' gives, 1.*gives 2"):
        rewrite(model, lambda node, copy: lambda x: (copy(x), x))


# --- insert_se


def test_inserting_keeps_the_outputs_and_the_model():
    model = backbone()
    before = values(model)
    new = insert_se(model, verbose=False)
    inputs = images(2, 16, 16, 3)
    np.testing.assert_array_equal(outputs(model, inputs)[0], outputs(new, inputs)[0])
    assert [one.after for one in placements(model)] == ["b1_bn2", "b2_bn2"]
    assert "b1_bn2_se" in every_layer(new)
    assert "b1_bn2_se" not in every_layer(model)
    for one, two in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(one, two)
    fresh = insert_se(model, identity=False, verbose=False)
    assert np.abs(outputs(fresh, inputs)[0] - outputs(model, inputs)[0]).max() > 1e-2


def test_the_block_multiplies_the_residual_branch_and_not_the_skip():
    model = backbone()
    new = insert_se(model, "b1_bn2", verbose=False)
    gate = np.linspace(0.5, 1.5, 8)
    se = new.get_layer("b1_bn2_se")
    # 2 * sigmoid(log(g / (2 - g))) is g.
    se.fc2.bias.assign(np.log(gate / (2 - gate)))
    inputs = images(2, 16, 16, 3)
    taps = ["b1_bn2", "stem", "b1_relu2"]
    branch, stem, _ = outputs(
        keras.Model(model.input, [model.get_layer(one).output for one in taps]), inputs
    )
    given = outputs(keras.Model(new.input, new.get_layer("b1_relu2").output), inputs)[0]
    np.testing.assert_allclose(given, np.maximum(stem + gate * branch, 0), rtol=1e-4, atol=1e-5)


def test_the_table_is_printed(capsys):
    insert_se(backbone())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["block", "after", "channels", "units", "why"]
    assert lines[1].split() == ["b1_bn2_se", "b1_bn2", "8", "8", "residual", "branch"]
    assert lines[2].split() == ["b2_bn2_se", "b2_bn2", "16", "8", "residual", "branch"]
    assert table([]) == "(none)"


def test_places_of_the_users_choice():
    model = backbone()
    assert [one.block for one in placements(model, "_relu1$")] == ["b1_relu1_se", "b2_relu1_se"]
    chosen = placements(model, lambda layer: isinstance(layer, layers.Conv2D), ratio=2)
    assert {(one.after, one.units) for one in chosen} == {
        (layer.name, 8) for layer in model.layers if isinstance(layer, layers.Conv2D)
    }
    assert len(chosen) == 6


def test_names_are_unique_and_the_same_every_time():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.ReLU(name="conv_se")(x)
    model = keras.Model(inputs, layers.Conv2D(4, 3, name="conv2")(x))
    for _ in range(2):
        assert [one.block for one in placements(model, "conv$|conv2")] == [
            "conv_se_1",
            "conv2_se",
        ]


def test_calls_that_share_weights_share_the_block():
    inputs = keras.Input((8, 8, 3))
    conv, relu = layers.Conv2D(3, 1, name="conv"), layers.ReLU(name="relu")
    model = keras.Model(inputs, relu(conv(relu(conv(inputs)))))
    assert [one.block for one in placements(model, "conv")] == ["conv_se"]
    assert [one.block for one in placements(model, "relu")] == ["relu_se", "relu_se_1"]
    new = insert_se(model, "conv", verbose=False)
    assert sum(isinstance(one, SqueezeExcite) for one in new.layers) == 1
    assert len(new.get_layer("conv_se")._inbound_nodes) == 2


def test_blocks_go_into_nested_models_and_only_they_are_trained():
    model = backbone()
    model.trainable = False
    inputs = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(model(inputs))
    whole = keras.Model(inputs, layers.Dense(3, name="head")(x))
    new = insert_se(whole, verbose=False)
    trained = {
        weight.path.split("/")[-3] for weight in new.trainable_weights if "_se/" in weight.path
    }
    assert trained == {"b1_bn2_se", "b2_bn2_se"}
    rest = {weight.path for weight in new.trainable_weights if "_se/" not in weight.path}
    assert rest == {"head/kernel", "head/bias"}
    only = insert_se(whole, freeze="backbone", verbose=False)
    assert all("_se/" in weight.path for weight in only.trainable_weights)
    assert len(only.trainable_weights) == 8
    images_ = images(4, 16, 16, 3)
    before = dict(zip((one.path for one in only.weights), values(only), strict=True))
    only.compile(keras.optimizers.Adam(0.01), "mse")
    only.fit(images_, np.ones((4, 3), "float32"), epochs=2, verbose=0)
    after = dict(zip((one.path for one in only.weights), values(only), strict=True))
    moved = {path for path in before if np.abs(before[path] - after[path]).max() > 0}
    # Nor do the statistics of batch norm move.
    assert moved == {one.path for one in only.trainable_weights}


def auto(outputs_of):
    inputs = keras.Input((16, 16, 8), name="input")
    return [one.after for one in placements(keras.Model(inputs, outputs_of(inputs)))]


def conv_bn(x, filters, name, size=3, activation=None, **arguments):
    x = layers.Conv2D(filters, size, padding="same", name=name, **arguments)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_act")(x) if activation else x


def test_auto_goes_before_stochastic_depth_and_layer_scale():
    def network(x):
        y = conv_bn(x, 8, "conv")
        y = layers.Dropout(0.2, noise_shape=(None, 1, 1, 1), name="drop")(y)
        return ops.add(x, layers.Activation("linear", name="nothing")(y))

    assert auto(network) == ["conv_bn"]


def test_auto_leaves_out_sums_in_a_tie_and_pyramids():
    def tie(x):
        x = layers.Add(name="add")([conv_bn(x, 8, "a"), conv_bn(x, 8, "b")])
        return layers.ReLU()(x)

    assert auto(tie) == ["a_bn", "b_bn"]  # as convolution groups

    def pyramid(x):
        low = conv_bn(conv_bn(x, 8, "a", activation="relu"), 8, "b", strides=2, activation="relu")
        return layers.Add(name="add")([layers.UpSampling2D(name="up")(low), x])

    assert auto(pyramid) == ["a_act", "b_act"]


def test_auto_takes_modules_but_not_those_in_residual_branches():
    def module(x, name):
        branches = [conv_bn(x, 4, f"{name}_{i}", activation="relu") for i in range(3)]
        return layers.Concatenate(name=name)(branches)

    assert auto(lambda x: module(module(x, "one"), "two")) == ["one", "two"]

    def residual(x):
        y = layers.Conv2D(8, 1, name="project")(module(x, "one"))
        return layers.Add(name="add")([x, y])

    assert auto(residual) == ["project"]


def test_auto_takes_dense_branches_but_not_decoders():
    def dense(x):
        return layers.Concatenate(name="join")([x, conv_bn(x, 4, "new")])

    assert auto(dense) == ["new_bn"]

    def decoder(x):
        low = conv_bn(x, 8, "low", strides=2, activation="relu")
        return layers.Concatenate(name="join")([x, layers.UpSampling2D(name="up")(low)])

    assert auto(decoder) == ["low_act"]


def test_auto_takes_inverted_residuals_without_a_sum():
    def network(x):
        x = conv_bn(x, 32, "expand", 1, activation="relu")
        x = layers.DepthwiseConv2D(3, 2, "same", name="depthwise")(x)
        x = conv_bn(layers.ReLU(name="relu")(x), 12, "project", 1)
        return conv_bn(x, 48, "next", 1, activation="relu")

    assert auto(network) == ["project_bn"]


def test_auto_leaves_out_gates_pooled_vectors_and_classifiers():
    def network(x):
        x = conv_bn(x, 8, "conv", activation="relu")
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = layers.Conv2D(8, 1, activation="sigmoid", name="gate")(gate)
        x = layers.Multiply()([x, gate])
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        return layers.Flatten()(conv_bn(x, 10, "classifier", 1))

    assert auto(network) == ["conv_act"]

    def plain(x):
        x = layers.Conv2D(8, 3, activation="relu", name="conv")(x)
        return layers.Conv2D(5, 1, activation="softmax", name="classifier")(x)

    assert auto(plain) == ["conv"]


@pytest.mark.skipif(ON_TENSORFLOW, reason="TensorFlow has no such convolution on a CPU")
def test_the_channel_axis_is_that_of_the_layer_before():
    inputs = keras.Input((4, 9, 7))
    x = layers.Conv2D(6, 3, data_format="channels_first", name="conv")(inputs)
    model = keras.Model(inputs, layers.ReLU(name="relu")(x))
    assert [one.channels for one in placements(model, "relu")] == [6]
    new = insert_se(model, "relu", identity=False, verbose=False)
    assert_same_outputs(
        new, remove_se(new, images=images(1, 4, 9, 7), verbose=False)[0], images(1, 4, 9, 7)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"where": 3}, r"`where` must be 'auto', a regular expression.*where=3"),
        ({"where": "("}, r"`where` must be .*no regular expression"),
        ({"where": "absent"}, r"`where` must choose layers.*where='absent', which chooses none"),
        ({"where": "pool"}, r"chooses 'pool'; that gives the shape \(None, 4\)"),
        ({"ratio": 0}, r"`ratio` must be a positive number.*ratio=0"),
        ({"identity": "yes"}, r"`identity` must be one of True, False.*'yes'"),
        ({"freeze": True}, r"`freeze` must be one of None, 'backbone'.*True"),
    ],
)
def test_arguments_of_insert_se_that_are_not_legal(arguments, message):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D(name="pool")(x))
    with pytest.raises(ValueError, match=message):
        insert_se(model, **arguments)


def test_a_network_with_blocks_everywhere_gets_no_more():
    model = insert_se(backbone(), verbose=False)
    with pytest.raises(ValueError, match="'auto' finds none without a block"):
        insert_se(model)


# --- remove_se


def trained(model, seed=3):
    """`model` with gates that differ from one and from image to image."""
    random = np.random.default_rng(seed)
    for layer in every_layer(model).values():
        if isinstance(layer, SqueezeExcite):
            layer.fc2.kernel.assign(random.normal(0, 0.3, layer.fc2.kernel.shape))
            layer.fc2.bias.assign(random.normal(0, 0.5, layer.fc2.bias.shape))
    return model


def test_removing_undoes_inserting():
    model = backbone()
    new, removals = remove_se(insert_se(model, verbose=False), verbose=False)
    assert [(one.block, one.replaced_by) for one in removals] == [
        ("b1_bn2_se", "nothing: gates of one"),
        ("b2_bn2_se", "nothing: gates of one"),
    ]
    assert [one.name for one in new.layers] == [one.name for one in model.layers]
    inputs = images(2, 16, 16, 3)
    np.testing.assert_array_equal(outputs(model, inputs)[0], outputs(new, inputs)[0])


def test_constant_gates_are_folded_exactly():
    # For one image the mean gate is the gate, so removing changes nothing for it.
    model = trained(insert_se(backbone(), ".*_(bn|conv|relu).", verbose=False))
    image = images(1, 16, 16, 3)
    new, removals = remove_se(model, images=image, verbose=False)
    words = {one.block: one.replaced_by for one in removals}
    assert words["b1_conv1_se"] == "mean gates, folded into b1_conv1"
    assert words["b2_bn2_se"] == "mean gates, folded into b2_bn2"
    assert words["b1_relu2_se"] == "mean gates, in b1_relu2_se_mean"
    assert len(removals) == 12
    assert not any(isinstance(one, SqueezeExcite) for one in new.layers)
    assert_same_outputs(model, new, image, rtol=1e-5)
    bare, _ = remove_se(model, verbose=False)
    difference = outputs(bare, image)[0] - outputs(model, image)[0]
    assert np.abs(difference).max() > 0.05 * np.abs(outputs(model, image)[0]).max()


def test_gates_are_averaged_over_all_images_also_in_nested_models():
    inner = trained(insert_se(backbone(), "b1_bn2", verbose=False))
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, inner(inputs))
    some = images(19, 16, 16, 3)  # more than one batch
    features = keras.Model(inner.input, inner.get_layer("b1_bn2").output)(some)
    gates = ops.convert_to_numpy(inner.get_layer("b1_bn2_se").excitation(features))
    assert np.ptp(gates, axis=0).max() > 0.01
    new, _ = remove_se(model, images=some, verbose=False)
    old, folded = inner.get_layer("b1_bn2"), every_layer(new)["b1_bn2"]
    for name in ("gamma", "beta"):
        expected = ops.convert_to_numpy(getattr(old, name)) * gates.mean(axis=(0, 1, 2))
        np.testing.assert_allclose(
            ops.convert_to_numpy(getattr(folded, name)), expected, rtol=1e-5, atol=1e-6
        )


def test_stages_names_and_callables_choose_blocks(tmp_path):
    model = SEResNet20(weights=None, input_shape=(16, 16, 3), classes=5)
    new, removals = remove_se(model, "stage3", verbose=False)
    assert [one.block for one in removals] == [f"layer3_{i}_se" for i in range(3)]
    left = [one.name for one in new.layers if isinstance(one, SqueezeExcite)]
    assert left == [f"layer{stage}_{i}_se" for stage in (1, 2) for i in range(3)]
    _, removals = remove_se(model, "_[12]_se", verbose=False)
    assert [one.channels for one in removals] == [16, 16, 32, 32, 64, 64]
    # Two kernels and two biases, C // 16 units.
    assert removals[0].parameters == 2 * 16 * 1 + 1 + 16
    _, removals = remove_se(model, lambda block: block.fc2.units == 32, verbose=False)
    assert [one.block for one in removals] == [f"layer2_{i}_se" for i in range(3)]
    new.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    assert_same_outputs(new, loaded, images(2, 16, 16, 3), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"which": "stage5"}, r"`which` must choose.*'b1_bn2_se', 'b2_bn2_se'.*'stage5'"),
        ({"which": 4}, r"`which` must be 'all', a stage.*which=4"),
        ({"images": np.zeros((0, 16, 16, 3))}, r"`images` must be None or 1 arrays.*\[\(0, 16, 16"),
        ({"images": [np.zeros((1, 2)), np.zeros((1, 2))]}, "`images` must be None or 1 arrays"),
        ({"images": np.zeros((2, 16, 16))}, r"`images` must .*\(None, 16, 16, 3\)"),
    ],
)
def test_arguments_of_remove_se_that_are_not_legal(arguments, message):
    with pytest.raises(ValueError, match=message):
        remove_se(insert_se(backbone(), verbose=False), **arguments)


def test_rescaling_layers_are_saved_and_trained(tmp_path):
    model = trained(insert_se(backbone(), "relu2", verbose=False))
    some = images(4, 16, 16, 3)
    new, _ = remove_se(model, images=some, verbose=False)
    new.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    assert_same_outputs(new, loaded, some)


# --- fold_batch_norm


def folding_subject():
    """Every kind of layer that batch norm folds into, with and without biases."""
    inputs = keras.Input((12, 12, 4))
    makers = {
        "conv": layers.Conv2D(6, 3, use_bias=False, name="conv"),
        "grouped": layers.Conv2D(6, 3, groups=2, name="grouped"),
        "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
        "separable": layers.SeparableConv2D(8, 3, use_bias=False, name="separable"),
        "transposed": layers.Conv2DTranspose(5, 3, name="transposed"),
        "dense": layers.Dense(7, use_bias=False, name="dense"),
    }
    x = inputs
    for i, (name, layer) in enumerate(makers.items()):
        norm = layers.BatchNormalization(scale=i % 2 == 0, center=i % 3 != 0, name=f"{name}_bn")
        x = layers.ReLU(name=f"{name}_relu")(norm(layer(x)))
    return randomised(keras.Model(inputs, x))


def test_batch_norms_fold_into_every_kind_of_layer():
    model = folding_subject()
    new = fold_batch_norm(model)
    assert not any(isinstance(one, layers.BatchNormalization) for one in new.layers)
    assert_same_outputs(model, new, images(2, 12, 12, 4), rtol=1e-5)


def test_batch_norms_stay_where_folding_is_not_exact():
    inputs = keras.Input((12, 12, 4))

    def norm(name, **arguments):
        return layers.BatchNormalization(name=name, **arguments)

    x = norm("first")(inputs)
    x = layers.Conv2D(4, 3, activation="relu", name="active")(x)
    x = norm("after_activation")(x)
    x = layers.Conv2D(4, 1, name="used_twice")(x)
    x = x + norm("of_used_twice")(x)
    shared = layers.Conv2D(4, 1, name="shared")
    x = norm("of_shared")(shared(shared(x)))
    x = layers.Conv2D(4, 1, name="before_other_axis")(x)
    x = norm("other_axis", axis=1)(x)
    x = layers.Conv2D(4, 1, name="before_training")(x)
    x = norm("in_training")(x, training=True)
    tapped = layers.Conv2D(4, 1, name="tapped")(x)
    x = norm("of_tapped")(tapped)
    folds = norm("folds")(layers.Conv2D(4, 1, name="plain")(x))
    model = randomised(keras.Model(inputs, [folds, tapped]))
    new = fold_batch_norm(model)
    stayed = {one.name for one in new.layers if isinstance(one, layers.BatchNormalization)}
    everything_ = {one.name for one in model.layers if isinstance(one, layers.BatchNormalization)}
    assert everything_ - stayed == {"folds"}
    assert_same_outputs(model, new, images(3, 12, 12, 4), rtol=1e-5)


def test_a_network_of_the_zoo_folds_whole():
    model = randomised(SEResNet20(weights=None, input_shape=(16, 16, 3), classes=4))
    new = fold_batch_norm(model)
    assert not any(isinstance(one, layers.BatchNormalization) for one in new.layers)
    assert_same_outputs(model, new, images(2, 16, 16, 3), rtol=1e-5)
    nested = keras.Sequential([keras.Input((16, 16, 3)), model])
    inner = every_layer(fold_batch_norm(nested)).values()
    assert not any(isinstance(one, layers.BatchNormalization) for one in inner)


def test_batch_norm_of_a_model_that_is_called_for_training_stays():
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3, name="inner_conv")(inputs)
    inner = keras.Model(inputs, keras.layers.BatchNormalization(name="inner_bn")(x), name="inner")
    outer = keras.Input((6, 6, 3))
    model = keras.Model(outer, inner(outer, training=True))
    folded = fold_batch_norm(model)
    batch = np.random.default_rng(0).normal(1.0, 2.0, (4, 6, 6, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(batch))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(folded(batch)), expected, rtol=1e-5)
    assert [layer.name for layer in folded.get_layer("inner").layers[1:]] == [
        "inner_conv",
        "inner_bn",
    ]


def test_images_in_a_dictionary_go_by_name():
    left, right = keras.Input((4, 4, 2), name="left"), keras.Input((4, 4, 2), name="right")
    gated = [SqueezeExcite(name=f"{one.name}_se")(one) for one in (right, left)]
    model = keras.Model([right, left], keras.layers.Concatenate()(gated))
    random = np.random.default_rng(1)
    a, b = (random.normal(size=(8, 4, 4, 2)).astype("float32") for _ in range(2))
    by_name, _ = remove_se(model, images={"left": a, "right": b}, verbose=False)
    in_order, _ = remove_se(model, images=[b, a], verbose=False)
    expected = keras.ops.convert_to_numpy(in_order([b, a]))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(by_name([b, a])), expected)
    with pytest.raises(ValueError, match=r"`images` .* right, left. Received: .*'middle'"):
        remove_se(model, images={"left": a, "middle": b}, verbose=False)


@keras.saving.register_keras_serializable(package="test_surgery")
class Doubling(keras.layers.Layer):
    """A layer of someone else's, whose `kernel_size` is a number and `strides` are not known."""

    kernel_size = 3
    strides = None

    def call(self, inputs):
        return 2 * inputs


def test_layers_of_others_may_call_their_sizes_as_they_like():
    inputs = keras.Input((6, 6, 4))
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(Doubling()(inputs))
    x = keras.layers.BatchNormalization()(Doubling()(x))
    model = keras.Model(inputs, keras.layers.Add()([inputs, x]))
    batch = np.random.default_rng(2).normal(size=(2, 6, 6, 4)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(batch))
    new = insert_se(model, verbose=False)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(new(batch)), expected)


def test_models_called_by_keyword_show_their_gates():
    inputs = keras.Input((4, 4, 2))
    inner = keras.Model(inputs, SqueezeExcite(name="inner_se")(inputs))
    outer = keras.Input((4, 4, 2))
    model = keras.Model(outer, inner(inputs=outer))
    batch = np.random.default_rng(3).normal(size=(4, 4, 4, 2)).astype("float32")
    new, removals = remove_se(model, images=batch, verbose=False)
    gates = keras.ops.convert_to_numpy(inner.get_layer("inner_se").excitation(batch))
    result = keras.ops.convert_to_numpy(new(batch))
    np.testing.assert_allclose(result, batch * gates.mean(axis=0), rtol=1e-5)
    assert [one.block for one in removals] == ["inner_se"]


def test_stages_of_the_shuffle_network_are_found():
    from keras_se.applications import SEShuffleNet

    model = SEShuffleNet(weights=None, classes=3, input_shape=(32, 32, 3))
    _, removals = remove_se(model, "stage4", verbose=False)
    assert [one.block for one in removals] == [f"stage4_{index}_se" for index in range(4)]
