"""Images of noise, to try things with."""

import numpy as np

from keras_se.data.dataset import Dataset, split

IMAGES, CLASSES, SIZE = 160, 10, 32


class Fake:
    """160 images of noise, always the same, in ten classes that differ in brightness."""

    usage = "fake"

    def load(self) -> Dataset:
        """Makes the images, uint8; every fifth of each class is held out."""
        random = np.random.default_rng(0)
        labels = np.arange(IMAGES) % CLASSES
        noise = random.integers(0, 64, (IMAGES, SIZE, SIZE, 3))
        images = np.uint8(noise + 20 * labels[:, None, None, None])
        names = tuple(f"class {index}" for index in range(CLASSES))
        return split(images, labels, names)
