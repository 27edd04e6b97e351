"""Training on several devices of one host, or by several processes, with the backends' own means.

TensorFlow mirrors the network over the GPUs of a host (`tf.distribute.MirroredStrategy`), JAX over
all devices of all processes (`keras.distribution.DataParallel`); both average the gradients, so
that a step is that of the whole batch. JAX normalises over the whole batch too, TensorFlow over the
images of each GPU.
"""

import contextlib
import dataclasses
import functools
import json
import zlib

import keras
import numpy as np

from keras_se.distribution import rendezvous as meeting

# Where the collectives of JAX on CPUs are: the others need MPI.
COLLECTIVES = "gloo"
# Seconds after which a process that does not answer counts as dead.
HEARTBEAT_TIMEOUT = 20
# Seconds that processes wait for each other when they end, which all do at the same time.
LEAVE = 60


class ProcessStoppedError(OSError):
    """Another process of a run has stopped. JAX would wait for it at the end of this one, too.

    Args:
        reason: Why, as far as it is known.
    """

    def __init__(self, reason):
        super().__init__(
            "Another process of the run has stopped, so this one stops too; what has begun goes on "
            f"if all of them are started with --resume ({reason})"
        )
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class ProcessShard:
    """What part of every batch is this process's.

    Attributes:
        index: Which process this is, from zero; the first one writes the files.
        processes: How many train one network together.
    """

    index: int = 0
    processes: int = 1

    def of(self, places):
        """This process's part of an array that is a multiple of `processes` long."""
        return np.split(places, self.processes)[self.index]


def join(processes=1, process_id=0, coordinator=None):
    """Joins this process to the others of a run; to be called before anything is computed.

    Args:
        processes: How many processes there are.
        process_id: Which of them this is, from zero.
        coordinator: `"HOST:PORT"` where process 0 listens, the same for all; needed for more than
            one process.

    Returns:
        The `ProcessShard` of this process.

    Raises:
        ValueError: If a number is not legal, the coordinator is missing, or the backend cannot.
        OSError: If not all of the others come within `rendezvous.WAIT` seconds.
    """
    if processes < 1:
        raise ValueError(f"`processes` must be at least 1. Received: {processes}")
    if not 0 <= process_id < processes:
        legal = f"from 0 to {processes - 1}, one for each of {processes} processes"
        raise ValueError(f"`process_id` must be {legal}. Received: {process_id}")
    if processes == 1:
        return ProcessShard()
    host, _, port = (coordinator or "").rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 2**16):
        raise ValueError(
            "`coordinator` must be HOST:PORT of process 0 for more than one process. "
            f"Received: {coordinator!r}"
        )
    backend = keras.backend.backend()
    if backend != "jax":
        raise ValueError(
            f"`processes` must be 1 with KERAS_BACKEND={backend}: several processes train together "
            "only with KERAS_BACKEND=jax. TensorFlow's MultiWorkerMirroredStrategy does not work "
            "with Keras 3. The GPUs of one host need one process only."
        )
    import jax

    meeting.meet(processes, process_id, coordinator)
    jax.config.update("jax_cpu_collectives_implementation", COLLECTIVES)
    try:
        # As keras.distribution.initialize does, but it waits for 100 seconds to miss a process.
        jax.distributed.initialize(
            coordinator,
            processes,
            process_id,
            initialization_timeout=meeting.WAIT,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
            shutdown_timeout_seconds=LEAVE,
        )
    except RuntimeError as error:
        raise OSError(f"The processes of the run did not find each other: {error}") from error
    return ProcessShard(process_id, processes)


def count():
    """The number of devices that train: the GPUs, or else the CPUs, of all processes."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return len(_tensorflow_devices())
    return len(keras.distribution.list_devices()) if backend == "jax" else 1


def _tensorflow_devices():
    import tensorflow as tf

    return tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")


@contextlib.contextmanager
def distribution_scope(batch_size):
    """Within it, networks are built on all devices and trained by them.

    With one device it does nothing.

    Args:
        batch_size: Images of a step, of all devices together.

    Raises:
        ValueError: If the devices cannot have equal parts of a batch.
    """
    devices = count()
    if batch_size % devices:
        raise ValueError(
            f"`batch_size` must be a multiple of the {devices} devices. Received: {batch_size}"
        )
    if devices == 1:
        yield
    elif keras.backend.backend() == "jax":
        with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
            yield
    else:
        with _mirrored().scope():
            yield


@functools.cache
def _mirrored():
    """The strategy of TensorFlow: one object, since networks of several do not mix."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([device.name for device in _tensorflow_devices()])


def require_agreement(share, **mine):
    """Compares what the processes are about to train.

    Args:
        share: The `ProcessShard` of this process.
        **mine: What to compare: numbers, texts and lists of them, by name.

    Raises:
        ValueError: If they are not the same in all processes.
    """
    if share.processes == 1:
        return
    from jax.experimental import multihost_utils

    digests = [zlib.crc32(json.dumps(one).encode()) for one in mine.values()]
    everybody = multihost_utils.process_allgather(np.array(digests, "uint32"))
    for what, values in zip(mine, everybody.T, strict=True):
        if len(set(values.tolist())) > 1:
            raise ValueError(
                f"The {what} must be the same in all {share.processes} processes, and `out` a "
                "folder that they all can read. Received: different ones"
            )


@contextlib.contextmanager
def watched(share):
    """Says in words that another process has stopped, when a step with it fails.

    Raises:
        ProcessStoppedError: If so.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        # JAX raises a ValueError where it checks that all processes have the same values.
        lost = type(error).__name__ == "JaxRuntimeError" or "Gloo" in str(error)
        if share.processes == 1 or not lost:
            raise
        raise ProcessStoppedError(str(error).splitlines()[0]) from error
