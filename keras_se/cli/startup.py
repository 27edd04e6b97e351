"""Imports Keras for a command, without the lines that its backend writes while it starts."""

import contextlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator

BACKENDS = ("tensorflow", "jax", "torch")


def load_keras() -> None:
    """Imports Keras, its backend and all of `keras_se`, quietly.

    Raises:
        ImportError: If Keras's backend is not installed; the message says how to choose another.
    """
    # Before TensorFlow starts. What else it says as it starts, no variable turns off.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with silenced_stderr():
            import keras  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in BACKENDS:
            raise
        raise ImportError(_missing_backend(error.name)) from error
    package = sys.modules["keras_se"]
    if "SqueezeExcite" not in vars(package):
        package.__spec__.loader.exec_module(package)


@contextlib.contextmanager
def silenced_stderr() -> Iterator[None]:
    """Drops what is written to file descriptor 2 in the block, unless the block raises.

    C++ code writes there without asking Python's `sys.stderr`. If the block raises, what it has
    written follows.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except BaseException:
            captured.seek(0)
            os.write(stderr, captured.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _missing_backend(name):
    installed = [other for other in BACKENDS if importlib.util.find_spec(other)]
    other = f", or set KERAS_BACKEND={installed[0]}, which is" if installed else ""
    return f"Keras's backend {name} is not installed: pip install {name}{other}"
