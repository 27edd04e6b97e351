"""Starts the command `keras-se`, which answers `--help` and wrong use without Keras.

Importing anything of `keras_se` imports Keras first, which takes seconds. So this module is outside
of the package: it puts the package where Python looks for it, but leaves its `__init__` for
`keras_se.cli.startup.load_keras` to execute, once the command line is known to be right.
"""

import importlib.util
import sys


def main():
    """Runs one command of the command line; returns its exit status."""
    if "keras_se" not in sys.modules:
        spec = importlib.util.find_spec("keras_se")
        sys.modules["keras_se"] = importlib.util.module_from_spec(spec)
    from keras_se.cli import main as run

    return run()
