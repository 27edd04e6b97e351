"""How batches get to `model.fit`: prepared by threads and, on TensorFlow, handed on by tf.data."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import keras


class PrefetchingDataset(keras.utils.PyDataset):
    """Batches for `model.fit`, of which threads may prepare the next ones while it computes.

    Keras's own threads (`workers`) would keep batches from when Keras looks at the first one, to
    build a model, and give them to the next epoch.

    Args:
        ahead: Whether threads prepare up to `max_queue_size` (10) batches, one for each core at a
            time; if not, a batch is made when it is asked for.

    Raises:
        IndexError: If a batch is asked for that there is not.
    """

    def __init__(self, ahead):
        super().__init__()
        self._ahead = ahead
        self._prepared, self._lock = {}, threading.Lock()
        self._pool = ThreadPoolExecutor(os.cpu_count())

    def batch(self, index):
        """Makes the batch of this number. Several threads may call it."""
        raise NotImplementedError

    def advance(self):
        """Makes `batch` give the next epoch."""

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches. Received: index={index}")
        if not self._ahead:
            return self.batch(index)
        with self._lock:
            for one in range(index, min(index + self.max_queue_size, len(self))):
                if one not in self._prepared:
                    self._prepared[one] = self._pool.submit(self.batch, one)
            prepared = self._prepared.pop(index)
        return prepared.result()

    def on_epoch_end(self):
        """Goes on to the next epoch; what was prepared for this one is forgotten."""
        with self._lock:
            self.advance()
            for prepared in self._prepared.values():
                prepared.cancel()
            self._prepared.clear()

    def close(self):
        """Ends the threads. Or a program that fails would first prepare all that was begun."""
        with self._lock:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._prepared.clear()


def stream(batches):
    """What `model.fit` and `model.predict` are given in the place of batches.

    The dataset that Keras itself would make on TensorFlow has autotuning on, and the end of an
    epoch may then wait as long as the epoch took (`benchmarks/epochs.py`). This one has to be told
    of the ends of epochs by `EpochEnds`; without, every epoch has the order of the first.

    Args:
        batches: The batches; the first one is made, for its shapes.

    Returns:
        On TensorFlow a `tf.data.Dataset` of them, on other backends `batches` themselves.

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
    # Two, as one may be late once, and the batches that threads prepare are kept besides.
    counted = dataset.apply(tensorflow.data.experimental.assert_cardinality(len(batches)))
    return counted.prefetch(2).with_options(options)


class EpochEnds(keras.callbacks.Callback):
    """Tells batches in a `stream` that epochs end, as Keras tells those it is given themselves.

    Keras does so before the first epoch too. Elsewhere than on TensorFlow this does nothing.

    Args:
        batches: The `TrainBatches` of the stream.

    >>> import numpy as np
    >>> from keras_se import data
    >>> network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    >>> network.compile("sgd", "mean_squared_error")
    >>> batches = data.TrainBatches(np.zeros((8, 2, 2, 3)), np.zeros(8), batch_size=4)
    >>> ends = data.EpochEnds(batches)
    >>> _ = network.fit(data.stream(batches), callbacks=[ends], epochs=3, shuffle=False, verbose=0)
    """

    def __init__(self, batches):
        super().__init__()
        self._batches = batches

    def on_train_begin(self, logs=None):
        """Ends what was before the first epoch."""
        self.on_epoch_end(None)

    def on_epoch_end(self, epoch, logs=None):
        """Ends an epoch."""
        if keras.backend.backend() == "tensorflow":
            self._batches.on_epoch_end()
