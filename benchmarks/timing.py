"""Interleaved timing: what is compared runs in turns, and medians and their ratios count."""

import gc
import json
import os
import platform
import statistics
import sys
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
            seconds = timed(function, clock)
            if turn:
                times[name].append(seconds)
    return {name: statistics.median(values) for name, values in times.items()}


def timed(function, clock=time.perf_counter):
    """Seconds of one call."""
    # Or the garbage of one would be collected at the cost of the next.
    gc.collect()
    start = clock()
    function()
    return clock() - start


def keep_output():
    """Keeps this process's output for answers to the one that started it.

    What libraries print goes to the errors from here on, that it may not come between the answers.

    Returns:
        A file for the answers.
    """
    mine = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return mine


def take_turns(functions, rows, options, software, output):
    """Calls one of `functions` for each number in the input, and answers with its seconds.

    `turns.py` is what asks. Before that it is told, as a line of JSON, what there is.

    Args:
        functions: Functions without arguments.
        rows: For each its role ("SE" or "plain"), network, precision and mode.
        options: Has the `task`, `size` in pixels, `batch` in images, and `steps` of a call.
        software: Names and versions of what trains.
        output: What `keep_output` gave.
    """
    work = {key: getattr(options, key) for key in ("task", "size", "batch", "steps")}
    about = {"rows": rows, "work": work, "software": software}
    print(json.dumps(about), file=output, flush=True)
    for line in sys.stdin:
        print(json.dumps(timed(functions[int(line)])), file=output, flush=True)


def software_versions():
    """Names and versions of Keras and its backend."""
    import keras

    backend = keras.backend.backend()
    return f"Keras {keras.__version__}, {backend} {__import__(backend).__version__}"


def print_environment():
    """Prints what the numbers depend on."""
    print(f"date: {time.strftime('%Y-%m-%d')}")
    print(f"machine: {processor()}, Python {platform.python_version()}")
    print(f"software: {software_versions()}")


def processor():
    """Model and number of the cores."""
    import re
    from pathlib import Path

    names = Path("/proc/cpuinfo")
    text = names.read_text() if names.exists() else ""
    model = re.search(r"model name\s*:\s*(.*)", text)
    return f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores"
