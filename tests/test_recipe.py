"""Fields of recipes: what is read, what is refused."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

import keras_se
from keras_se.recipes import DIGITS, RECIPES, from_json, get_recipe, override

pytestmark = pytest.mark.backend_neutral


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("epochs=3", "epochs", 3),
        ("learning_rate=1e-2", "learning_rate", 0.01),
        ("weight_decay=0", "weight_decay", 0.0),
        ("twin=false", "twin", False),
        ("about=a=b", "about", "a=b"),
        ("augment=", "augment", ()),
        ("milestones=3, 4.5", "milestones", (3.0, 4.5)),
        ("augment=rotate(5), zoom(0.1)", "augment", ("rotate(5)", "zoom(0.1)")),
    ],
)
def test_override_reads_values_as_the_type_of_their_field(assignment, key, value):
    recipe = RECIPES["cifar10-preresnet110"] if key == "milestones" else DIGITS
    changed = getattr(override(recipe, [assignment]), key)
    assert changed == value
    assert type(changed) is type(value)


def test_override_changes_nothing_else_and_the_last_one_counts():
    before = dataclasses.asdict(DIGITS)
    changed = override(DIGITS, ["epochs=5", "seed=2", "epochs=7"])
    assert dataclasses.asdict(changed) == before | {"epochs": 7, "seed": 2}
    assert dataclasses.asdict(DIGITS) == before


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("epoch=3", "no 'epoch'.*epochs"),
        ("lr=1", "no 'lr'.*nearest"),
        ("epochs", "key=value.*'epochs'"),
        ("epochs=3.0", "`epochs` must be an integer.*'3.0'"),
        ("epochs=1_0", "`epochs` must be an integer"),
        ("epochs=", "`epochs` must be an integer"),
        ("learning_rate=fast", "`learning_rate` must be a number.*'fast'"),
        ("learning_rate=nan", "`learning_rate` must be a number.*'nan'"),
        ("twin=0", "`twin` must be true or false.*'0'"),
    ],
)
def test_override_refuses_what_it_cannot_read(assignment, message):
    with pytest.raises(ValueError, match=message):
        override(DIGITS, [assignment])


@pytest.mark.parametrize(
    ("field", "value", "legal"),
    [
        ("epochs", 0, "positive integer"),
        ("epochs", True, "an integer"),
        ("epochs", "3", "an integer"),
        ("batch_size", -1, "positive integer"),
        ("size", 8.0, "an integer"),
        ("learning_rate", 0.0, "positive number"),
        ("learning_rate", float("inf"), "positive number"),
        ("momentum", 1.0, "less than 1"),
        ("weight_decay", float("nan"), "zero or a positive number"),
        ("label_smoothing", -0.1, "at least 0"),
        ("warmup_epochs", 1000, "at most epochs="),
        ("seed", -1, "from 0"),
        ("seed", 2**32, "from 0"),
        ("optimizer", "adagrad", "sgd, adamw, lamb"),
        ("schedule", "linear", "cosine, constant, step"),
        ("precision", "float8", "float32, mixed_bfloat16"),
        ("augment", ["rotate(5)"], "tuple"),
        ("augment", (3,), "tuple"),
    ],
)
def test_a_recipe_refuses_values_that_are_not_legal(field, value, legal):
    with pytest.raises(ValueError, match=legal) as caught:
        dataclasses.replace(DIGITS, **{field: value})
    assert field in str(caught.value)


def test_json_gives_the_same_recipe():
    changed = override(DIGITS, ["augment=rotate(5),zoom(0.1)", "learning_rate=0.3"])
    assert from_json(changed.to_json()) == changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values | {"epoch": 1}, "no 'epoch'.*epochs"),
        (lambda values: {"about": "only this"}, "has no `network`"),
        (lambda values: values | {"epochs": None}, "`epochs` must be an integer"),
        (lambda values: [values], "must be a JSON object"),
    ],
)
def test_json_of_something_else_is_refused(change, message):
    text = json.dumps(change(json.loads(DIGITS.to_json())))
    with pytest.raises(ValueError, match=message):
        from_json(text)


def test_unknown_recipe_offers_the_nearest():
    assert get_recipe("digits") is DIGITS
    with pytest.raises(ValueError, match=r"no recipe 'digit'.*nearest are: digits"):
        get_recipe("digit")


WITHOUT_KERAS = """
import sys, types
package = types.ModuleType("keras_se")
package.__path__ = [sys.argv[1]]
sys.modules["keras_se"] = package
from keras_se.recipes import describe
assert "cifar10-fast" in describe() and "learning_rate" in describe()
assert "keras" not in sys.modules
"""


def test_recipes_are_listed_without_keras():
    package = Path(keras_se.__file__).parent
    subprocess.run([sys.executable, "-c", WITHOUT_KERAS, str(package)], check=True)
