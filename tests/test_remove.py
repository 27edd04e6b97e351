"""SE blocks are taken out again, with or without a trace of what they did."""

import keras
import numpy as np
import pytest
from keras import ops
from random_statistics import assert_same_outputs, every_layer, images, outputs
from surgery_subjects import backbone

from keras_se import SqueezeExcite
from keras_se.applications import SEResNet20
from keras_se.surgery import insert_se, remove_se


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
    given = (outputs(one, inputs, exactly=True)[0] for one in (model, new))
    np.testing.assert_array_equal(*given)


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
        ({"which": "stage5"}, "b1_bn2_se"),
        ({"which": 4}, "which=4"),
        ({"images": np.zeros((0, 16, 16, 3))}, "0, 16, 16"),
        ({"images": [np.zeros((1, 2)), np.zeros((1, 2))]}, "images"),
        ({"images": np.zeros((2, 16, 16))}, "None, 16, 16, 3"),
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
    with pytest.raises(ValueError, match="middle"):
        remove_se(model, images={"left": a, "middle": b}, verbose=False)


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
