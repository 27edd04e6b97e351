"""Feeds batches to `model.fit`: prepared by threads and, on TensorFlow, passed on by tf.data."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import keras


class PrefetchingDataset(keras.utils.PyDataset):
    """Prepares batches in threads while `model.fit` computes; subclasses define `batch`.

    Keras's own threads (`workers`) would keep batches from when Keras looks at the first one, to
    build a model, and give them to the next epoch.

    Args:
        prefetch: Whether threads prepare batches, as many at a time as there are cores or
            `workers`, and ten at least ahead; if not, a batch is made when it is asked for.
        workers: How many processes decode for the threads.

    Raises:
        IndexError: If the index of a batch is out of range.
    """

    def __init__(self, prefetch: bool, workers: int = 0):
        threads = max(os.cpu_count(), workers)
        # Some batches are complete while all threads are busy.
        super().__init__(max_queue_size=max(10, threads + 2))
        self._prefetch = prefetch
        self._prepared, self._lock = {}, threading.Lock()
        self._pool = ThreadPoolExecutor(threads)

    def batch(self, index: int) -> tuple:
        """Makes a batch of the epoch. Several threads may call it."""
        raise NotImplementedError

    def advance(self) -> None:
        """Makes `batch` return batches of the next epoch."""

    def __getitem__(self, index: int) -> tuple:
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches. Received: index={index}")
        if not self._prefetch:
            return self.batch(index)
        with self._lock:
            for queued in range(index, min(index + self.max_queue_size, len(self))):
                if queued not in self._prepared:
                    self._prepared[queued] = self._pool.submit(self.batch, queued)
            prepared = self._prepared.pop(index)
        return prepared.result()

    def on_epoch_end(self) -> None:
        """Advances to the next epoch and discards what was prepared for this one."""
        with self._lock:
            self.advance()
            for prepared in self._prepared.values():
                prepared.cancel()
            self._prepared.clear()

    def close(self) -> None:
        """Stops the threads; otherwise a program that fails would first prepare what is queued."""
        with self._lock:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._prepared.clear()


def stream(batches: PrefetchingDataset):
    """Converts batches to what `model.fit` and `model.predict` read fastest.

    The dataset that Keras itself would make on TensorFlow has autotuning on, and the end of an
    epoch may then wait as long as the epoch took (`benchmarks/epochs.py`). The dataset returned
    here learns of the ends of epochs from the callback `EpochEnds`; without it, every epoch has the
    order of the first.

    Args:
        batches: The batches; the first one is made, for its shapes.

    Returns:
        On TensorFlow a `tf.data.Dataset` of the batches, on other backends `batches`.

    Example:
    >>> from keras_se import data
    >>> digits = data.load("digits")
    >>> held_out = data.EvalBatches(digits.test_images, digits.test_labels, batch_size=100)
    >>> [len(labels) for _, labels, _ in data.stream(held_out)]
    [100, 100, 100, 55]
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow

    dataset = tensorflow.data.Dataset.from_generator(
        lambda: (batches[index] for index in range(len(batches))),
        output_signature=keras.tree.map_structure(
            lambda rows: tensorflow.TensorSpec((None, *rows.shape[1:]), rows.dtype),
            batches.batch(0),
        ),
    )
    options = tensorflow.data.Options()
    options.autotune.enabled = False
    # Two, in case one is late; threads have prepared more batches already.
    counted = dataset.apply(tensorflow.data.experimental.assert_cardinality(len(batches)))
    return counted.prefetch(2).with_options(options)


class EpochEnds(keras.callbacks.Callback):
    """Notifies batches behind a `stream` of the ends of epochs, as Keras does without a stream.

    Keras does so before the first epoch too. On other backends than TensorFlow it does nothing.

    Args:
        batches: The batches that were passed to `stream`.

    Example:
    >>> import numpy as np
    >>> from keras_se import data
    >>> network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    >>> network.compile("sgd", "mean_squared_error")
    >>> batches = data.TrainBatches(np.zeros((8, 2, 2, 3)), np.zeros(8), batch_size=4)
    >>> ends = data.EpochEnds(batches)
    >>> _ = network.fit(data.stream(batches), callbacks=[ends], epochs=3, shuffle=False, verbose=0)
    """

    def __init__(self, batches: PrefetchingDataset):
        super().__init__()
        self._batches = batches

    def on_train_begin(self, logs=None):
        """Advances the batches to the first epoch."""
        self.on_epoch_end(None)

    def on_epoch_end(self, epoch, logs=None):
        """Advances the batches to the next epoch."""
        if keras.backend.backend() == "tensorflow":
            self._batches.on_epoch_end()
