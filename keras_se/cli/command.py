"""What the commands have in common."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable

OK, SOME_SKIPPED, WRONG_USE, INTERRUPTED, OUTPUT_CLOSED = 0, 1, 2, 130, 141
NOT_ALL_WRITTEN = 1
# What a command may raise because of what it was given or found.
ERRORS = (ValueError, OSError, ImportError)
DATA_HELP = "digits, fake, folder:PATH, places365:PATH, array:FILE or tfds:NAME"


class CommandParser(argparse.ArgumentParser):
    """Parser of one command that gets its arguments when it is used.

    Args:
        fill: Callable of the parser that adds its arguments.
        **options: As for `argparse.ArgumentParser`.
    """

    def __init__(self, *, fill: Callable[[argparse.ArgumentParser], None], **options):
        super().__init__(**options)
        self._fill = fill

    def parse_known_args(self, args=None, namespace=None):
        """Adds the arguments, then parses."""
        self._fill(self)
        return super().parse_known_args(args, namespace)


def explain(error: BaseException) -> int:
    """Says on the standard error why a command ends; returns its exit status."""
    if isinstance(error, KeyboardInterrupt):
        print("keras-se: interrupted", file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        # As of `keras-se list | head`. Python flushes once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    if not isinstance(error, ERRORS):
        traceback.print_exception(error)
        return 1
    print(f"keras-se: error: {one_line(error)}", file=sys.stderr, flush=True)
    return WRONG_USE


def one_line(error: BaseException) -> str:
    """Returns the message of an exception without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
