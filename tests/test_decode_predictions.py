"""The names and scores of predictions."""

import keras
import numpy as np
import pytest

from keras_se.class_names import decode_predictions

LABELS = {
    0: ("n01440764", "tench"),
    1: ("n01443537", "goldfish"),
    134: ("n02012849", "crane"),
    207: ("n02099601", "golden_retriever"),
    285: ("n02124075", "Egyptian_cat"),
    386: ("n02504458", "African_elephant"),
    517: ("n03126707", "crane"),
    999: ("n15075141", "toilet_tissue"),
}


@pytest.mark.parametrize("as_tensor", [False, True])
def test_decode_predictions_names_the_golden_labels(as_tensor):
    scores = np.eye(1000, dtype="float32")[list(LABELS)] * 0.5
    given = keras.ops.convert_to_tensor(scores) if as_tensor else scores
    decoded = decode_predictions(given, top=1)
    assert decoded == [[(*label, 0.5)] for label in LABELS.values()]


def test_decode_predictions_sorts_by_descending_score():
    scores = np.full((2, 1000), -3.0)
    scores[0, [999, 0, 207, 1, 285, 386]] = [0.1, 0.2, 0.5, 0.3, 0.4, -1.0]
    scores[1, 386] = 7.0
    first, second = decode_predictions(scores)
    assert [name for _, name, _ in first] == [
        "golden_retriever",
        "Egyptian_cat",
        "goldfish",
        "tench",
        "toilet_tissue",
    ]
    assert [score for _, _, score in first] == [0.5, 0.4, 0.3, 0.2, 0.1]
    assert second[0] == ("n02504458", "African_elephant", 7.0)
    assert len(second) == 5


def test_equal_scores_come_in_class_order():
    scores = np.zeros((1, 1000), "float32")
    scores[0, [999, 1, 386]] = 1.0
    (decoded,) = decode_predictions(scores, top=4)
    names = [name for _, name, _ in decoded]
    assert names == ["goldfish", "African_elephant", "toilet_tissue", "tench"]


def test_a_top_over_1000_names_every_class_once_in_order():
    (decoded,) = decode_predictions(np.arange(1000)[None], top=np.int64(1001))
    assert [score for _, _, score in decoded] == list(range(999, -1, -1))
    synsets = [synset for synset, _, _ in decoded]
    assert synsets == sorted(set(synsets), reverse=True)
    assert len(synsets) == 1000
    assert all(len(synset) == 9 and synset[0] == "n" for synset in synsets)
    names = [name for _, name, _ in decoded]
    # Two pairs of classes share a first lemma: the birds and machines called crane, and maillot.
    assert len(set(names)) == 998
    assert all(name.isascii() and name and " " not in name for name in names)


def test_no_predictions_give_no_names():
    assert decode_predictions(np.zeros((0, 1000))) == []


@pytest.mark.parametrize("shape", [(1000,), (1, 1000, 1), (2, 999), (1, 11821)])
def test_predictions_of_another_shape_are_an_error(shape):
    with pytest.raises(ValueError, match=r"`predictions` must .*\(batch, 1000\)") as caught:
        decode_predictions(np.zeros(shape, "float32"))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("top", [0, -1, 2.0, None])
def test_a_top_that_is_no_positive_integer_is_an_error(top):
    with pytest.raises(ValueError, match=f"`top` must be.*top={top}"):
        decode_predictions(np.zeros((1, 1000)), top=top)
