"""Interleaved timing: what is compared runs in turns, and medians and their ratios count."""

import gc
import platform
import statistics
import time


def interleave(functions, rounds, clock=time.perf_counter):
    """Times each of `functions`, a mapping from names, in turns.

    Args:
        functions: Mapping from names to functions without arguments.
        rounds: How often each is called, after one call that is not timed.
        clock: Function that gives seconds; `time.process_time` for work of one thread, which is
            then not disturbed by what else runs on the machine.

    Returns:
        A mapping from the names to medians, in seconds.
    """
    times = {name: [] for name in functions}
    for turn in range(rounds + 1):
        for name, function in functions.items():
            # Or the garbage of one would be collected at the cost of the next.
            gc.collect()
            start = clock()
            function()
            if turn:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def print_environment():
    """Prints what the numbers depend on."""
    import keras

    backend = keras.backend.backend()
    version = __import__(backend).__version__
    print(f"date: {time.strftime('%Y-%m-%d')}")
    print(f"machine: {_processor()}, Python {platform.python_version()}")
    print(f"software: Keras {keras.__version__}, {backend} {version}")


def _processor():
    import os
    import re
    from pathlib import Path

    names = Path("/proc/cpuinfo")
    text = names.read_text() if names.exists() else ""
    model = re.search(r"model name\s*:\s*(.*)", text)
    return f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores"
