"""Starts the command `keras-se`, which answers `--help` and wrong use without Keras.

Importing anything of `keras_se` imports Keras first, which takes seconds. So this module is outside
of the package: it puts the package where Python looks for it, but leaves its `__init__` for
`keras_se.cli.startup.load_keras` to execute, once the command line is known to be right.
"""

import importlib.util
import multiprocessing
import os
import signal
import sys
import threading


def main():
    """Runs one command of the command line; returns its exit status."""
    defer_package()
    from keras_se.cli import main as run

    return run()


def load_keras():
    """Imports all of `keras_se` without the lines that Keras's backend writes as it starts."""
    defer_package()
    from keras_se.cli.startup import load_keras as load

    load()


def start_worker(gpu: bool) -> None:
    """Prepares a process of a pool: it ends with the one that started it, and has loaded Keras.

    Args:
        gpu: Whether it may use GPUs; one that need not would take memory there all the same.
    """
    # Ctrl-C reaches all processes of a terminal: each would write a traceback of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if not gpu:
        os.environ |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    load_keras()


def _end_with_parent():
    """A pool whose process was killed would wait for work for good."""
    multiprocessing.parent_process().join()
    os._exit(1)


def defer_package():
    """Puts the package where Python looks for it, unless it is there, without executing it."""
    if "keras_se" not in sys.modules:
        spec = importlib.util.find_spec("keras_se")
        sys.modules["keras_se"] = importlib.util.module_from_spec(spec)
