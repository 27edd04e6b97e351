"""Training on several devices of one host, or by several processes, with the backends' own means.

TensorFlow mirrors the network over the GPUs of a host (`tf.distribute.MirroredStrategy`), JAX over
all devices of all processes (`keras.distribution.DataParallel`); both average the gradients, so
that a step is that of the whole batch. JAX normalizes over the whole batch too, TensorFlow over the
images of each GPU. On PyTorch, Keras trains on one device.
"""

import contextlib
import dataclasses
import functools
import json
import logging
import zlib
from collections.abc import Iterator

import keras
import numpy as np

from keras_se.distribution import rendezvous

LOG = logging.getLogger("keras_se")
# JAX's library of collectives for CPUs that needs no MPI.
COLLECTIVES = "gloo"
# Seconds after which a process that does not answer counts as dead.
HEARTBEAT_TIMEOUT = 20
# Seconds that processes wait for each other at their end, which all reach at the same time.
SHUTDOWN_TIMEOUT = 60


class ProcessStoppedError(OSError):
    """Another process of the run has stopped.

    Args:
        reason: Why, as far as it is known.
    """

    def __init__(self, reason: str):
        super().__init__(
            "Another process of the run has stopped, so this one stops too. To continue the run, "
            f"start all of its processes with --resume ({reason})"
        )
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class ProcessShard:
    """The part of every batch that this process reads.

    Attributes:
        process_index: Index of this process, from zero; process 0 writes the files.
        process_count: Number of processes that train one network together.

    Example:
    >>> ProcessShard(process_index=1, process_count=3).select(np.arange(6))
    array([2, 3])
    """

    process_index: int = 0
    process_count: int = 1

    def select(self, indices: np.ndarray) -> np.ndarray:
        """Returns this process's part of an array, whose length `process_count` divides."""
        return np.split(indices, self.process_count)[self.process_index]


def initialize(
    processes: int = 1, process_id: int = 0, coordinator: str | None = None
) -> ProcessShard:
    """Connects this process to the others of a run, before anything is computed.

    Args:
        processes: Number of processes.
        process_id: Index of this one, from zero.
        coordinator: `"HOST:PORT"` where process 0 listens, the same for all processes; required
            for more than one.

    Returns:
        The `ProcessShard` of this process.

    Raises:
        ValueError: If a number is not legal, the coordinator is missing, or the backend cannot
            train by several processes.
        OSError: If not all processes connect within `rendezvous.TIMEOUT` seconds.
    """
    if processes < 1:
        raise ValueError(f"`processes` must be at least 1. Received: {processes}")
    if not 0 <= process_id < processes:
        legal = f"from 0 to {processes - 1}, one for each of {processes} processes"
        raise ValueError(f"`process_id` must be {legal}. Received: {process_id}")
    if processes > 1:
        _check_coordinator(coordinator)
        _connect(processes, process_id, coordinator)
    return ProcessShard(process_id, processes)


def _check_coordinator(coordinator):
    host, _, port = (coordinator or "").rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 2**16):
        raise ValueError(
            "`coordinator` must be HOST:PORT of process 0 for more than one process. "
            f"Received: {coordinator!r}"
        )


def _connect(processes, process_id, coordinator):
    backend = keras.backend.backend()
    if backend != "jax":
        raise ValueError(
            f"`processes` must be 1 with KERAS_BACKEND={backend}: several processes train together "
            "only with KERAS_BACKEND=jax. TensorFlow's MultiWorkerMirroredStrategy does not work "
            "with Keras 3. The GPUs of one host need one process only."
        )
    import jax

    rendezvous.wait_for_processes(processes, process_id, coordinator)
    jax.config.update("jax_cpu_collectives_implementation", COLLECTIVES)
    try:
        # keras.distribution.initialize does the same, but takes 100 seconds to miss a process.
        jax.distributed.initialize(
            coordinator,
            processes,
            process_id,
            initialization_timeout=rendezvous.TIMEOUT,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
            shutdown_timeout_seconds=SHUTDOWN_TIMEOUT,
        )
    except RuntimeError as error:
        raise OSError(f"The processes of the run could not connect: {error}") from error


def count() -> int:
    """Returns the number of devices that train: the GPUs, or else the CPUs, of all processes."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return len(_tensorflow_devices())
    return len(keras.distribution.list_devices()) if backend == "jax" else 1


def _tensorflow_devices():
    import tensorflow as tf

    return tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")


@contextlib.contextmanager
def distribution_scope(batch_size: int) -> Iterator[None]:
    """Builds networks on all devices, and trains them there; does nothing with one device.

    Args:
        batch_size: Images of a step, of all devices together.

    Raises:
        ValueError: If `batch_size` is not a multiple of the number of devices.
    """
    devices = count()
    if batch_size % devices:
        raise ValueError(
            f"`batch_size` must be a multiple of the {devices} devices. Received: {batch_size}"
        )
    if keras.backend.backend() == "torch":
        log_unused_gpus()
    if devices == 1:
        yield
    elif keras.backend.backend() == "jax":
        with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
            yield
    else:
        with _mirrored().scope():
            yield


@functools.cache
def log_unused_gpus() -> None:
    """Logs, once, that Keras trains on one of several GPUs on the PyTorch backend."""
    import torch

    gpus = torch.cuda.device_count()
    if gpus > 1:
        LOG.warning(
            "Training on 1 of %d GPUs: on the PyTorch backend, Keras uses one. "
            "KERAS_BACKEND=jax or tensorflow trains on all of them.",
            gpus,
        )


@functools.cache
def _mirrored():
    """TensorFlow's strategy: one object, since networks of several strategies do not mix."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([device.name for device in _tensorflow_devices()])


def check_agreement(shard: ProcessShard, **values) -> None:
    """Compares values between the processes of a run.

    Args:
        shard: The `ProcessShard` of this process.
        **values: What to compare, by name: numbers, strings and lists of them.

    Raises:
        ValueError: If a value is not the same in all processes.
    """
    if shard.process_count == 1:
        return
    from jax.experimental import multihost_utils

    digests = [zlib.crc32(json.dumps(value).encode()) for value in values.values()]
    gathered = multihost_utils.process_allgather(np.array(digests, "uint32"))
    for name, column in zip(values, gathered.T, strict=True):
        if len(set(column.tolist())) > 1:
            raise ValueError(
                f"The {name} must be the same in all {shard.process_count} processes, and `out` a "
                "folder that they all can read. Received: different ones"
            )


@contextlib.contextmanager
def detect_stopped_process(shard: ProcessShard) -> Iterator[None]:
    """Turns a backend's error about a lost process into a `ProcessStoppedError`.

    Args:
        shard: The `ProcessShard` of this process.

    Raises:
        ProcessStoppedError: If another process has stopped.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        # JAX raises a ValueError where it checks that all processes have the same values.
        is_lost = type(error).__name__ == "JaxRuntimeError" or "Gloo" in str(error)
        if shard.process_count == 1 or not is_lost:
            raise
        raise ProcessStoppedError(str(error).splitlines()[0]) from error
