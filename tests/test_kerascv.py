"""KerasCV's detector on a network of the zoo: one step and a prediction."""

import keras
import numpy as np
import pytest
from families import NETWORKS

from keras_se.dense.coco import BoxBatches, read_coco
from keras_se.dense.scenes import write_scenes

pytest.importorskip("keras_cv")


@pytest.mark.slow
# It passes its images on as a tensor, where its model takes a dictionary.
@pytest.mark.filterwarnings("ignore:.*structure of `inputs`:UserWarning")
def test_kerascv_trains_a_step_and_predicts(tmp_path):
    from keras_se.dense.kerascv import retinanet

    network = NETWORKS["resnet_aa"][1](include_top=False, weights=None, input_shape=(64, 64, 3))
    detector = retinanet(network, 3)
    pictures, _, _ = read_coco(write_scenes(tmp_path, number=2, size=64), "train")
    detector.compile(
        optimizer="adam", box_loss="smoothl1", classification_loss="focal", run_eagerly=True
    )
    before = keras.ops.convert_to_numpy(network.get_layer("conv1_0").kernel)
    history = detector.fit(BoxBatches(pictures, 64, 2, label="classes"), verbose=0).history
    assert np.isfinite(history["loss"]).all() and history["box_loss"][0] > 0
    assert not np.array_equal(network.get_layer("conv1_0").kernel, before)
    boxes = detector.predict(np.zeros((1, 64, 64, 3), "float32"), verbose=0)
    assert boxes["boxes"].shape == (1, 100, 4) and boxes["classes"].shape == (1, 100)
