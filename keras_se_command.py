"""Starts the command `keras-se`, which answers `--help` and wrong use without Keras.

Importing anything of `keras_se` imports Keras first, which takes seconds. So this module is outside
of the package: it puts the package where Python looks for it, but leaves its `__init__` for
`keras_se.cli.startup.load_keras` to execute, once the command line is known to be right.
"""

import importlib.util
import sys


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


def defer_package():
    """Puts the package where Python looks for it, unless it is there, without executing it."""
    if "keras_se" not in sys.modules:
        spec = importlib.util.find_spec("keras_se")
        sys.modules["keras_se"] = importlib.util.module_from_spec(spec)
