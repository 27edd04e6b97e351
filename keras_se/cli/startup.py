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
        with native_stderr_dropped():
            import keras  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in BACKENDS:
            raise
        raise ImportError(_missing_backend(error.name)) from error
    package = sys.modules["keras_se"]
    if "SqueezeExcite" not in vars(package):
        package.__spec__.loader.exec_module(package)


@contextlib.contextmanager
def native_stderr_dropped() -> Iterator[None]:
    """Drops what C++ code writes to the standard error in the block, unless the block raises.

    Such code writes to file descriptor 2 without asking Python's `sys.stderr`, whose lines still
    appear. If the block raises, what it has written follows.
    """
    sys.stderr.flush()
    descriptor = os.dup(2)
    with tempfile.TemporaryFile() as dropped, os.fdopen(os.dup(2), "w") as stderr:
        os.dup2(dropped.fileno(), 2)
        passing = _Stderr(stderr)
        try:
            with contextlib.redirect_stderr(passing if _is_native(sys.stderr) else sys.stderr):
                yield
        except BaseException:
            dropped.seek(0)
            os.write(descriptor, dropped.read())
            raise
        finally:
            passing.stream = None
            os.dup2(descriptor, 2)
            os.close(descriptor)


class _Stderr:
    """A stream in the place of `sys.stderr`, and `sys.stderr` itself after that.

    The logger of TensorFlow that is made meanwhile keeps it.

    Args:
        stream: The stream; `None` when it is to be no more.
    """

    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(self.stream or sys.stderr, name)

    def close(self):
        """Leaves `sys.stderr` open, which loggers do too, but only if they see that it is it."""


def _is_native(stream):
    """Whether Python's stream writes to file descriptor 2, and not to a test's buffer."""
    try:
        return stream.fileno() == 2
    except (OSError, ValueError, AttributeError):
        return False


def _missing_backend(name):
    installed = [other for other in BACKENDS if importlib.util.find_spec(other)]
    other = f", or set KERAS_BACKEND={installed[0]}, which is" if installed else ""
    return f"Keras's backend {name} is not installed: pip install {name}{other}"
