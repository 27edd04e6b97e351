"""Random changes of training images, as functions of a seed and a step."""

from keras_se.augmentation.batch_augmentation import BatchAugmentation
from keras_se.augmentation.mixing import Mixing
from keras_se.augmentation.transforms import (
    TRANSFORMS,
    Augmentation,
    parse,
    random_transform,
    split_crop,
)

__all__ = [
    "TRANSFORMS",
    "Augmentation",
    "BatchAugmentation",
    "Mixing",
    "parse",
    "random_transform",
    "split_crop",
]
