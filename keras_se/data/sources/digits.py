"""The handwritten digits that scikit-learn ships."""

import numpy as np

from keras_se.data.dataset import Dataset, split
from keras_se.validation import require_packages


class Digits:
    """The 1,797 handwritten digits of scikit-learn, 8x8 pixels, float32 from 0 to 1."""

    usage = "digits"

    def load(self) -> Dataset:
        """Loads the digits; every fifth of each class is held out.

        Raises:
            ImportError: If scikit-learn is not installed.
        """
        require_packages("data='digits'", "sklearn")
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.asarray(digits.images / 16, "float32")[..., np.newaxis]
        names = tuple(str(name) for name in digits.target_names)
        return split(images, digits.target, names)
