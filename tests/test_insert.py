"""SE blocks go where they belong, and the model stays what it was."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from random_statistics import (
    assert_same_outputs,
    every_layer,
    images,
    moved,
    outputs,
    values,
    values_by_path,
)
from surgery_subjects import backbone

from keras_se import SqueezeExcite
from keras_se.graph.complexity import complexity
from keras_se.surgery import insert_se, placements, remove_se, table

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def test_inserting_keeps_the_outputs_and_the_model():
    model = backbone()
    before = values(model)
    new = insert_se(model, verbose=False)
    inputs = images(2, 16, 16, 3)
    given = (outputs(one, inputs, exactly=True)[0] for one in (model, new))
    np.testing.assert_array_equal(*given)
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


@pytest.mark.backend_neutral
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
        assert [one.block for one in placements(model, "conv$|conv2")] == ["conv_se_1", "conv2_se"]


def test_calls_that_share_weights_share_the_block():
    inputs = keras.Input((8, 8, 3))
    conv, relu = layers.Conv2D(3, 1, name="conv"), layers.ReLU(name="relu")
    model = keras.Model(inputs, relu(conv(relu(conv(inputs)))))
    assert [one.block for one in placements(model, "conv")] == ["conv_se"]
    assert [one.block for one in placements(model, "relu")] == ["relu_se", "relu_se_1"]
    new = insert_se(model, "conv", verbose=False)
    assert sum(isinstance(one, SqueezeExcite) for one in new.layers) == 1
    assert [one.layer for one in complexity(new).layers].count("conv_se") == 2


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
    before = values_by_path(only)
    only.compile(keras.optimizers.Adam(0.01), "mse")
    only.fit(images_, np.ones((4, 3), "float32"), epochs=2, verbose=0)
    # Nor do the statistics of batch norm move.
    assert moved(only, before) == {one.path for one in only.trainable_weights}


def auto(outputs_of):
    inputs = keras.Input((16, 16, 8), name="input")
    return [one.after for one in placements(keras.Model(inputs, outputs_of(inputs)))]


def conv_bn(x, filters, name, size=3, activation=None, **arguments):
    x = layers.Conv2D(filters, size, padding="same", name=name, **arguments)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_act")(x) if activation else x


@pytest.mark.backend_neutral
def test_auto_goes_before_stochastic_depth_and_layer_scale():
    def network(x):
        y = conv_bn(x, 8, "conv")
        y = layers.Dropout(0.2, noise_shape=(None, 1, 1, 1), name="drop")(y)
        return ops.add(x, layers.Activation("linear", name="nothing")(y))

    assert auto(network) == ["conv_bn"]


@pytest.mark.backend_neutral
def test_auto_leaves_out_sums_in_a_tie_and_pyramids():
    def tie(x):
        x = layers.Add(name="add")([conv_bn(x, 8, "a"), conv_bn(x, 8, "b")])
        return layers.ReLU()(x)

    assert auto(tie) == ["a_bn", "b_bn"]  # as convolution groups

    def pyramid(x):
        low = conv_bn(conv_bn(x, 8, "a", activation="relu"), 8, "b", strides=2, activation="relu")
        return layers.Add(name="add")([layers.UpSampling2D(name="up")(low), x])

    assert auto(pyramid) == ["a_act", "b_act"]


@pytest.mark.backend_neutral
def test_auto_takes_modules_but_not_those_in_residual_branches():
    def module(x, name):
        branches = [conv_bn(x, 4, f"{name}_{i}", activation="relu") for i in range(3)]
        return layers.Concatenate(name=name)(branches)

    assert auto(lambda x: module(module(x, "one"), "two")) == ["one", "two"]

    def residual(x):
        y = layers.Conv2D(8, 1, name="project")(module(x, "one"))
        return layers.Add(name="add")([x, y])

    assert auto(residual) == ["project"]


@pytest.mark.backend_neutral
def test_auto_takes_dense_branches_but_not_decoders():
    def dense(x):
        return layers.Concatenate(name="join")([x, conv_bn(x, 4, "new")])

    assert auto(dense) == ["new_bn"]

    def decoder(x):
        low = conv_bn(x, 8, "low", strides=2, activation="relu")
        return layers.Concatenate(name="join")([x, layers.UpSampling2D(name="up")(low)])

    assert auto(decoder) == ["low_act"]


@pytest.mark.backend_neutral
def test_auto_takes_inverted_residuals_without_a_sum():
    def network(x):
        x = conv_bn(x, 32, "expand", 1, activation="relu")
        x = layers.DepthwiseConv2D(3, 2, "same", name="depthwise")(x)
        x = conv_bn(layers.ReLU(name="relu")(x), 12, "project", 1)
        return conv_bn(x, 48, "next", 1, activation="relu")

    assert auto(network) == ["project_bn"]


@pytest.mark.backend_neutral
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


@pytest.mark.backend_neutral
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"where": 3}, "where=3"),
        ({"where": "("}, "regular expression"),
        ({"where": "absent"}, "absent"),
        ({"where": "pool"}, "'pool'"),
        ({"ratio": 0}, "ratio"),
        ({"identity": "yes"}, "identity"),
        ({"freeze": True}, "freeze"),
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
    with pytest.raises(ValueError, match="auto"):
        insert_se(model)


@keras.saving.register_keras_serializable(package="test_insert")
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
