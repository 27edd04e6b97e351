"""The images that networks are trained and tested on: `load("digits")`, `load("folder:PATH")`."""

from keras_se.data.batches import EvalBatches, PaddedEvalBatches, TrainBatches
from keras_se.data.dataset import Dataset, every_of_each_class
from keras_se.data.images import LazyImages
from keras_se.data.pipeline import EpochEnds, PrefetchingDataset, stream
from keras_se.data.sources import KINDS, check, decode, load
from keras_se.data.sources.array import check_file, prepare, require_space

__all__ = [
    "KINDS",
    "Dataset",
    "EpochEnds",
    "EvalBatches",
    "LazyImages",
    "PaddedEvalBatches",
    "PrefetchingDataset",
    "TrainBatches",
    "check",
    "check_file",
    "decode",
    "every_of_each_class",
    "load",
    "prepare",
    "require_space",
    "stream",
]
