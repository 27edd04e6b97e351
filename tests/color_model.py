"""A model for tests of prediction: the scores of an image are its mean red, green and blue."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np

from keras_se.preprocessing import Preprocessing

NAMES = ("red", "green", "blue")


class ColorModel:
    """Scores images by their colors.

    Args:
        seconds: How long a batch takes.
        kills: A file in whose absence a process makes it and is killed, or `None`.
        error: What predicting raises a `ValueError` with, if anything.
    """

    class_names = NAMES

    def __init__(self, seconds: float = 0, kills: Path | None = None, error: str = ""):
        self._seconds, self._kills, self._error = seconds, kills, error

    def require_preprocessing(self):
        return Preprocessing(4, crop=1.0, interpolation="nearest")

    def predict(self, images):
        if self._error:
            raise ValueError(self._error)
        time.sleep(self._seconds)
        if self._kills and not self._kills.exists():
            self._kills.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return images.mean((1, 2), dtype="float32") / np.float32(255)


def loader(**options):
    """What loads a model, and can be pickled."""
    return partial(ColorModel, **options)


def write_pictures(folder, count, broken=()):
    """Writes pictures of one color each, `00.png` and so on, and returns their colors."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    colors = np.random.default_rng(0).integers(0, 256, (count, 3))
    for index, color in enumerate(colors):
        path = folder / f"{index:03d}.png"
        if index in broken:
            path.write_bytes(b"broken")
        else:
            Image.new("RGB", (5, 4), tuple(color.tolist())).save(path)
    return colors
