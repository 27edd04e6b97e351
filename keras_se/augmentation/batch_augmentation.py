"""Everything that a recipe does to the batches of its training."""

from keras import ops

from keras_se.augmentation.mixing import Mixing
from keras_se.augmentation.seeds import fold_in
from keras_se.augmentation.transforms import random_transform
from keras_se.preprocessing import scale_to_unit


class BatchAugmentation:
    """Augments, mixes and normalizes the batches of a recipe, as a function of the step.

    It consists of Keras operations, so it can be compiled with the network that follows.

    Args:
        recipe: The `keras_se.recipes.recipe.Recipe`.
        classes: Number of classes.
        augmentations: The `Augmentation`s to apply; by default all of the recipe.
    """

    def __init__(self, recipe, classes: int, augmentations: tuple | None = None):
        if augmentations is None:
            augmentations = recipe.augmentations
        self._transform = random_transform(augmentations, recipe.seed)
        seed = fold_in(recipe.seed, len(recipe.augment) + 1)
        self._mixing = Mixing(recipe.mixup, recipe.cutmix, seed)
        self._normalize = recipe.preprocessing.standardize
        self._classes, self._threshold = classes, recipe.target_threshold
        # Keras's own smoothing of a binary cross-entropy would be toward one half.
        self._smoothing = recipe.label_smoothing if recipe.loss == "bce" else 0.0

    def augment(self, images, labels, step) -> tuple:
        """Augments a batch of training images, and turns its labels into targets.

        Args:
            images: Batch of images in Keras's data format, uint8 or floats from 0 to 1.
            labels: Integer array or tensor `(image,)`.
            step: Number of the step since the start of training, an integer or a scalar tensor,
                on which all randomness depends.

        Returns:
            The normalized float32 images; the targets `(image, class)`, mixed as the images are;
            and the labels of the classes with the largest share in each image.
        """
        images = scale_to_unit(ops.convert_to_tensor(images))
        labels = ops.convert_to_tensor(labels)
        if self._transform:
            images = self._transform(images, step)
        targets = ops.one_hot(labels, self._classes, dtype="float32")
        targets = targets * (1 - self._smoothing) + self._smoothing / self._classes
        majority = labels
        if self._mixing:
            images, targets = self._mixing(images, targets, step)
            majority = ops.cast(ops.argmax(targets, axis=-1), labels.dtype)
        if self._threshold:
            targets = ops.cast(targets > self._threshold, "float32")
        return self._normalize(images), targets, majority

    def normalize(self, images):
        """Normalizes images that are held out, uint8 or floats from 0 to 1."""
        return self._normalize(scale_to_unit(ops.convert_to_tensor(images)))
