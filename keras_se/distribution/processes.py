"""Propagates failures between the processes of a run."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from keras_se.distribution.devices import (
    ProcessShard,
    ProcessStoppedError,
    detect_stopped_process,
)

# Prefix of the keys under which a process stores why it stops, by its index.
STOPPED = "keras_se/stopped/"
# Seconds between two looks at these keys.
POLL_INTERVAL = 1
# Seconds for which a stopping process, which may run the key-value store, lets the others read.
NOTICE_PERIOD = 5
# Milliseconds that process 0 may take to write its files after the last epoch: a day.
END_TIMEOUT = 24 * 60 * 60 * 1000


@contextlib.contextmanager
def stop_all_on_failure(
    shard: ProcessShard, stop: Callable[[BaseException], None]
) -> Iterator[None]:
    """Propagates an error in one process to all others, even blocked ones.

    At the end of the block all processes wait for each other, since process 0 has more to do than
    the others. With one process it does nothing.

    Args:
        shard: The `ProcessShard` of this process.
        stop: A function of an exception that reports it and ends the process at once, without
            Python's exit handlers, in which JAX would wait for the other processes. If another
            process has stopped, it is called in a thread with a `ProcessStoppedError`.
    """
    if shard.process_count == 1:
        yield
        return
    store, finished = _key_value_store(), threading.Event()
    listener = threading.Thread(target=_listen, args=(store, finished, stop), daemon=True)
    listener.start()
    try:
        yield
        with detect_stopped_process(shard):
            store.wait_at_barrier("keras_se/end", END_TIMEOUT)
    # Ctrl-C in one of them too.
    except BaseException as error:
        finished.set()
        _announce(store, shard, error)
        stop(error)
        raise
    finally:
        finished.set()
        listener.join()


def _key_value_store():
    """The client of JAX's coordination service, with which processes exchange strings."""
    # JAX has no public name for it.
    from jax._src.distributed import global_state

    return global_state.client


def _announce(store, shard, error):
    """Tells the other processes why this one stops, if they can still be reached."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ProcessStoppedError):
        reason = error.reason
    index = shard.process_index
    with contextlib.suppress(RuntimeError):
        store.key_value_set(f"{STOPPED}{index}", f"process {index}: {reason}")
        time.sleep(NOTICE_PERIOD)


def _listen(store, finished, stop):
    """Polls whether another process has stopped, until this one has finished."""
    while not finished.wait(POLL_INTERVAL):
        try:
            reasons = store.key_value_dir_get(STOPPED)
        except RuntimeError:  # Process 0 is gone; the next step with it will fail.
            return
        if reasons and not finished.is_set():
            stop(ProcessStoppedError(reasons[0][1]))
            return
