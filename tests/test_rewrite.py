"""Rewriting graphs of models with every kind of connection."""

import ast
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops
from random_statistics import assert_same_outputs, images, outputs, randomized, values
from surgery_subjects import (
    ConfigNamesMore,
    Stateful,
    Subclassed,
    Tripled,
    backbone,
    everything,
    keep,
    two_images,
)

import keras_se
from keras_se.graph.walk import PRIVATE_NAMES, layers_within
from keras_se.surgery import fold_batch_norm, insert_se, placements, remove_se, rewrite


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
    next(one for one in layers_within(attention) if one.name == "query").trainable = False
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
    model = randomized(keras.Model(inputs, x))
    assert len(model.layers) > sys.getrecursionlimit()
    new = rewrite(model, keep)
    given = (outputs(one, images(2, 2), exactly=True) for one in (model, new))
    np.testing.assert_array_equal(*given)


def test_models_that_cannot_be_rewritten_say_so():
    subclassed = Subclassed()
    subclassed(np.zeros((1, 3), "float32"))
    inputs = keras.Input((3,))
    functional = Tripled(inputs, layers.Dense(3)(inputs))
    for model in (subclassed, functional):
        for surgery in (fold_batch_norm, insert_se, placements, remove_se):
            with pytest.raises(ValueError, match="subclassed"):
                surgery(model)
    with pytest.raises(ValueError, match="not built"):
        rewrite(keras.Sequential([layers.Dense(2)]), keep)
    with pytest.raises(ValueError, match="Dense"):
        rewrite(layers.Dense(2), keep)


def test_layers_that_cannot_be_made_anew_say_so():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, Stateful(np.array([2.0]))(inputs))
    with pytest.raises(ValueError, match="get_config"):
        rewrite(model, keep)


def test_a_layer_is_made_of_its_arguments_if_its_config_is_not_right():
    """As layers of KerasHub, which name more in their configs than the arguments that there are."""
    model = keras.Sequential([keras.Input((3,)), ConfigNamesMore(4, dtype="float32", name="own")])
    new = rewrite(rewrite(model, keep), keep)
    assert type(new.layers[-1]) is ConfigNamesMore and new.layers[-1] is not model.layers[-1]
    assert new.layers[-1].name == "own"
    assert_same_outputs(model, new, images(2, 3))
    layer = ConfigNamesMore(4, ops.relu)  # which is no argument that Keras keeps
    model = keras.Sequential([keras.Input((3,)), layer])
    with pytest.raises(ValueError, match=r"get_config.*They raised: Unrecognized.*'number'"):
        rewrite(model, keep)


def test_rules_that_are_not_legal_say_so():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(3, name="dense")(inputs))
    with pytest.raises(ValueError, match="rule"):
        rewrite(model, "dense")
    with pytest.raises(ValueError, match="'dense'"):
        rewrite(model, lambda node, copy: 7)
    with pytest.raises(ValueError, match="number of tensors"):
        rewrite(model, lambda node, copy: lambda x: (copy(x), x))


PACKAGE = Path(keras_se.__file__).parent
WALK = PACKAGE / "graph" / "walk.py"
# Named tuples, and the end of a process.
PUBLIC_IN_PYTHON = {"_fields", "_exit"}
# What seeds are made of, which Keras has nowhere else.
MAY_USE_SRC = {PACKAGE / "augmentation" / "seeds.py"}


def private_names(tree):
    """The private attributes of anything but `self` and `cls`."""
    for node in ast.walk(tree):
        own = isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "cls")
        if isinstance(node, ast.Attribute) and node.attr[0] == "_" != node.attr[1] and not own:
            yield node.attr


def names_defined(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def test_one_module_reads_what_keras_keeps_private():
    trees = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    defined = {name for tree in trees.values() for name in names_defined(tree)}
    for path, tree in trees.items():
        used = set(private_names(tree))
        if path == WALK:
            assert used == set(PRIVATE_NAMES)
        else:
            assert not used - defined - PUBLIC_IN_PYTHON, path
        if path not in MAY_USE_SRC:
            assert "keras.src" not in path.read_text(), path
