"""Training that starts from weights prepares its images as theirs were."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_se import cli
from keras_se.augmentation import BatchAugmentation
from keras_se.recipes import RECIPES
from keras_se.training import loop
from keras_se.weights import WEIGHTS


@pytest.fixture
def transferred(monkeypatch, tmp_path, capsys):
    """A function of the words of `keras-se transfer` that gives the recipe, or the error."""
    recipes = []
    monkeypatch.setattr(loop, "train", lambda recipe, *_: recipes.append(recipe))

    def run(*words):
        words = ("transfer", *words, "--data", "fake", "--out", tmp_path / "out")
        status = cli.main(list(map(str, words)))
        assert status == (0 if recipes else 2)
        return recipes.pop() if recipes else capsys.readouterr().err

    return run


ROWS = {
    (row.preprocessing.mean, row.preprocessing.std): (network, row)
    for network, rows in WEIGHTS.items()
    for row in rows
}


@pytest.mark.parametrize(("network", "row"), ROWS.values(), ids=[one for one, _ in ROWS.values()])
def test_images_are_normalized_as_those_of_the_weights(transferred, network, row):
    recipe = transferred(network, "--weights", row.tag)
    looks = row.preprocessing
    assert (recipe.size, recipe.crop) == (looks.size, looks.crop)
    assert recipe.interpolation == looks.interpolation
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), "uint8")
    expected = looks.normalize(images)
    actual = BatchAugmentation(recipe, 10).normalize(images)
    # Float32's steps, of pixels to 255 where nothing is divided.
    steps = 4e-7 * np.abs(expected).max()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(actual), expected, rtol=0, atol=steps)


def test_all_statistics_of_published_weights_have_a_name(transferred):
    assert len(ROWS) == 6
    tags = ("imagenet", "ra_in1k", "ra4_e3600_r224_in1k", "miil_in21k_ft_in1k")
    names = [transferred("mobilenetv3large", "--weights", tag).normalize for tag in tags]
    assert names == ["none", "imagenet", "half", "none"]
    source = "hf://timm/mobilenetv3_large_100.ra4_e3600_r224_in1k"
    assert transferred("mobilenetv3large", "--weights", source).normalize == "half"
    assert transferred("seresnet20", "--weights", "cifar10").normalize == "cifar10"


def test_what_is_given_counts_unless_it_is_another_normalization(transferred):
    words = ("seresnet20", "--weights", "cifar10", "--set")
    assert transferred(*words, "size=48").size == 48
    assert transferred(*words, "normalize=cifar10").normalize == "cifar10"
    error = transferred(*words, "normalize=imagenet")
    assert "`normalize` must be 'cifar10'" in error and "normalize='imagenet'" in error
    assert "nearest" not in error and "weights='cifar10' of seresnet20" in error
    assert transferred(*words, "weights=").normalize == "imagenet"


def test_a_file_needs_the_recipe_beside_it_or_a_normalization(transferred, tmp_path):
    file = tmp_path / "model.keras"
    words = ("seresnet20", "--weights", file)
    assert str(file) in transferred(*words)
    file.touch()
    error = transferred(*words)
    assert "`normalize` must be set" in error
    assert transferred(*words, "--set", "normalize=half").normalize == "half"
    before = dataclasses.replace(RECIPES["cifar100-wrn16-8"], size=40)
    (tmp_path / "recipe.json").write_text(before.to_json())
    recipe = transferred(*words)
    assert (recipe.normalize, recipe.size, recipe.crop) == ("cifar100", 40, 1.0)
    assert "`normalize` must be 'cifar100'" in transferred(*words, "--set", "normalize=half")
