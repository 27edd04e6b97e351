"""Loads labeled images, `load("digits")` or `load("folder:PATH")`, and makes batches of them."""

from keras_se.data.batches import EvalBatches, TrainBatches, check_batch_size
from keras_se.data.dataset import Dataset, every_of_each_class, held_out_per_class, select_held_out
from keras_se.data.images import LazyImages
from keras_se.data.loading import decode
from keras_se.data.pipeline import EpochEnds, PrefetchingDataset, stream
from keras_se.data.sources import KINDS, check, load
from keras_se.data.sources.array import check_file, prepare

__all__ = [
    "KINDS",
    "Dataset",
    "EpochEnds",
    "EvalBatches",
    "LazyImages",
    "PrefetchingDataset",
    "TrainBatches",
    "check",
    "check_batch_size",
    "check_file",
    "decode",
    "every_of_each_class",
    "held_out_per_class",
    "load",
    "prepare",
    "select_held_out",
    "stream",
]
