"""The images that networks are trained and tested on: `load("digits")`, `load("folder:PATH")`."""

from keras_se.data.batches import Batches, Divided, Ordered
from keras_se.data.dataset import Dataset, every_of_each_class
from keras_se.data.images import Pictures
from keras_se.data.pipeline import Ahead, EpochEnds, stream
from keras_se.data.sources import KINDS, check, decode, load
from keras_se.data.sources.array import check_file, prepare, require_space

__all__ = [
    "KINDS",
    "Ahead",
    "Batches",
    "Dataset",
    "Divided",
    "EpochEnds",
    "Ordered",
    "Pictures",
    "check",
    "check_file",
    "decode",
    "every_of_each_class",
    "load",
    "prepare",
    "require_space",
    "stream",
]
