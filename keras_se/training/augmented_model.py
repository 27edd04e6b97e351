"""The model that `fit` trains: a network behind the random changes of its images."""

from typing import Any

import keras
from keras import ops

from keras_se.augmentation import BatchAugmentation


@keras.saving.register_keras_serializable(package="keras_se")
class AugmentedModel(keras.Model):
    """Augments, mixes and normalizes images in the compiled step, and runs a network on them.

    A step draws once: the call returns the targets beside the predictions, and Keras's trainers
    hand both to the loss and the metrics. At inference the images are only normalized. The loss of
    an epoch is a mean in which an image counts as its weight says: Keras's divides by the number
    of images, those with weight zero included. The metrics see, of a mixed image, the class with
    the largest share, as `"accuracy"` does of mixed rows of probabilities elsewhere in Keras.

    Args:
        network: The `keras.Model` that is trained; it has all the variables.
        augmentation: The `keras_se.augmentation.BatchAugmentation` of the recipe.
        classes: Number of classes.

    Call arguments:
        inputs: Dictionary of `images`, uint8 or floats from 0 to 1, their integer `labels`, and
            `step`, the number of the step for each image.
        training: Whether to augment them.

    Returns:
        Dictionary of `outputs`, what the network gives; `targets`, `(image, class)`; and `labels`,
        the class with the largest share in each image.
    """

    def __init__(self, network: keras.Model, augmentation: BatchAugmentation, classes: int):
        # Or Keras would round the images to the network's precision before they are augmented.
        super().__init__(name=network.name, dtype="float32")
        self.network, self._augmentation, self._classes = network, augmentation, classes
        self._weight = keras.metrics.Mean("weight", dtype="float32")

    def call(self, inputs: dict, training: bool = False) -> dict:
        """Augments the images and runs the network."""
        images, labels = inputs["images"], inputs["labels"]
        if training:
            images, targets, labels = self._augmentation.augment(images, labels, inputs["step"][0])
        else:
            images = self._augmentation.normalize(images)
            targets = ops.one_hot(labels, self._classes, dtype="float32")
        outputs = self.network(images, training=training)
        return {"outputs": outputs, "targets": targets, "labels": labels}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: dict | None = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Compares the outputs with the targets of the same draw."""
        targets, outputs = y_pred["targets"], y_pred["outputs"]
        return super().compute_loss(x, targets, outputs, sample_weight, training)

    def compute_metrics(self, x: Any, y: Any, y_pred: dict, sample_weight: Any = None) -> dict:
        """Compares the outputs with the labels, and counts the weights."""
        labels, outputs = y_pred["labels"], y_pred["outputs"]
        weights = ops.ones_like(outputs[:, 0]) if sample_weight is None else sample_weight
        self._weight.update_state(weights)
        return super().compute_metrics(x, labels, outputs, sample_weight)

    def get_metrics_result(self) -> dict:
        """Returns the loss of an image, and the metrics."""
        results = super().get_metrics_result()
        results["loss"] = results["loss"] / results.pop("weight")
        return results
