"""The model that `fit` trains: a network behind the random changes of its images."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_se")
class AugmentedModel(keras.Model):
    """A network whose images and labels are changed within the compiled step, on the device.

    It takes images as they are stored, with the number of the step in each row, and integer labels.
    At inference the images are only normalised. Its losses are means in which an image counts as
    its weight says: Keras's divide by the number of images, those with weight zero included.
    Its metrics see, of a mixed image, the class with the largest share, as `"accuracy"` does of
    mixed rows of probabilities elsewhere in Keras.

    Args:
        network: The `keras.Model` that is trained; it has all the variables.
        changes: The `keras_se.augmentation.transforms.BatchAugmentation` of the recipe.
        classes: Number of classes.

    Call arguments:
        inputs: A pair: the images, uint8 or floats from 0 to 1, and an integer tensor `(image,)`
            with the number of the step, -1 for images that are held out.
        training: Whether to change them.

    Returns:
        What the network gives.
    """

    def __init__(self, network, changes, classes):
        # Or Keras would round the images to the network's precision before they are changed.
        super().__init__(name=network.name, dtype="float32")
        self.network, self._changes, self._classes = network, changes, classes
        self._weight = keras.metrics.Mean("weight", dtype="float32")

    def call(self, inputs, training=False):
        """Changes the images and runs the network."""
        images, steps = inputs
        if training:
            images = self._changes.images(images, steps[0])
        else:
            images = self._changes.unchanged(images)
        return self.network(images, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compares with the labels, changed as the images were."""
        if training:
            images, steps = x
            targets = self._changes.targets(y, images, steps[0])
        else:
            targets = ops.one_hot(y, self._classes, dtype="float32")
        return super().compute_loss(x, targets, y_pred, sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Compares with the classes that are most of the images, and counts the weights."""
        images, steps = x
        y = self._changes.majority_labels(y, images, steps[0])
        weights = ops.ones_like(y_pred[:, 0]) if sample_weight is None else sample_weight
        self._weight.update_state(weights)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def get_metrics_result(self):
        """The loss of an image, and the metrics."""
        results = super().get_metrics_result()
        results["loss"] = results["loss"] / results.pop("weight")
        return results
