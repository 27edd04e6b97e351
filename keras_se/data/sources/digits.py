"""The handwritten digits that scikit-learn ships."""

import numpy as np

from keras_se.data.dataset import Dataset, split
from keras_se.data.loading import LoadOptions, resize


class Digits:
    """The 1,797 handwritten digits of scikit-learn, 8x8 pixels, float32 from 0 to 1."""

    usage = "digits"

    def load(self, options: LoadOptions) -> Dataset:
        """Loads the digits; every fifth of each class is held out.

        Raises:
            ValueError: If scikit-learn is not installed.
        """
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise ValueError(
                "data='digits' needs scikit-learn, which is not installed: pip install scikit-learn"
            ) from error
        digits = load_digits()
        images = np.asarray(digits.images / 16, "float32")[..., np.newaxis]
        names = tuple(str(name) for name in digits.target_names)
        return resize(split(images, digits.target, names), options)
