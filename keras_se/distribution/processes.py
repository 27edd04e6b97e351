"""What the processes of a run tell each other, so that none waits for one that has stopped."""

import contextlib
import threading
import time

from keras_se.distribution.devices import ProcessStoppedError, watched

# Where it is told why a process stops, by its number.
STOPPED = "keras_se/stopped/"
# Seconds from one look to the next.
PAUSE = 1
# Seconds that a process which stops leaves the others to hear of it: they hear it from process 0.
NOTICE = 5
# Milliseconds that the first process has for its files after the last epoch: a day.
LONGEST_END = 24 * 60 * 60 * 1000


@contextlib.contextmanager
def stop_all_on_failure(share, stop):
    """Within it, an error in one process of a run stops all of them, whatever they wait for.

    At its end the processes wait for the first one, which has more to do than the others. With
    one process it does nothing.

    Args:
        share: The `keras_se.distribution.devices.ProcessShard` of this process.
        stop: A function of an exception that says what it is and ends the process at once, without
            what Python does at the end: there JAX would wait for the other processes. If another
            process has stopped it gets a `ProcessStoppedError`, and is called in a thread.
    """
    if share.processes == 1:
        yield
        return
    board, over = _board(), threading.Event()
    listener = threading.Thread(target=_listen, args=(board, over, stop), daemon=True)
    listener.start()
    try:
        yield
        with watched(share):
            board.wait_at_barrier("keras_se/end", LONGEST_END)
    # Ctrl-C in one of them too.
    except BaseException as error:
        over.set()
        _tell(board, share, error)
        stop(error)
        raise
    finally:
        over.set()
        listener.join()


def _board():
    """Where each process reads what the others have written: the client of JAX's service."""
    # JAX has no public name for it.
    from jax._src.distributed import global_state

    return global_state.client


def _tell(board, share, error):
    """Tells the other processes why this one stops, if they can still be told."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ProcessStoppedError):
        reason = error.reason
    with contextlib.suppress(RuntimeError):
        board.key_value_set(f"{STOPPED}{share.index}", f"process {share.index}: {reason}")
        time.sleep(NOTICE)


def _listen(board, over, stop):
    """Looks again and again whether another process has stopped, until all is over."""
    while not over.wait(PAUSE):
        try:
            told = board.key_value_dir_get(STOPPED)
        except RuntimeError:  # Process 0 is gone; whoever needs it will say so.
            return
        if told and not over.is_set():
            stop(ProcessStoppedError(told[0][1]))
            return
