"""The command `bench`."""

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from keras_se.cli.command import OK
from keras_se.cli.export import FORMATS, load_calibration
from keras_se.cli.images import check_exist
from keras_se.cli.models import MODEL_HELP, WEIGHTS_HELP, check_model, resolve_model
from keras_se.cli.startup import native_stderr_dropped

if TYPE_CHECKING:
    import numpy as np

    from keras_se.benchmark import Row
    from keras_se.cli.models import ResolvedModel

# A state dict is no network that could run.
RUNNABLE = tuple(name for name in FORMATS if name != "state_dict")
INTEGER = "_int8"
RANDOM_IMAGES = 32
SIZE = 224


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bench` to its parser."""
    parser.add_argument("model", metavar="MODEL_OR_RUN", help=MODEL_HELP)
    parser.add_argument("--weights", metavar="TAG_OR_FILE", help=WEIGHTS_HELP)
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=RUNNABLE,
        metavar="FORMAT",
        help=f"of {', '.join(RUNNABLE)} (default: all that are installed)",
    )
    parser.add_argument(
        "--batch", nargs="+", type=_positive, default=[1, 8], metavar="N", help="default: 1 8"
    )
    parser.add_argument("--rounds", type=_positive, default=10, metavar="N", help="default: 10")
    parser.add_argument(
        "--threads", type=_positive, default=2, metavar="N", help="of each runtime (default: 2)"
    )
    parser.add_argument(
        "--size",
        type=_positive,
        metavar="PIXELS",
        help=f"side of the images (default: the model's, or that of its weights, or {SIZE})",
    )
    parser.add_argument(
        "--calibration",
        metavar="FOLDER",
        type=Path,
        help="images that tell the agreement and fix the ranges of 8-bit integers; without it "
        "random ones tell, and formats that end in _int8 are left out",
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1. Received: {text}")
    return number


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for files that are missing and formats without images."""
    check_model(options.model, options.weights)
    if options.calibration is not None:
        check_exist([options.calibration])
        return
    integers = [name for name in options.formats or () if name.endswith(INTEGER)]
    if integers:
        raise ValueError(f"--formats {' '.join(integers)} needs --calibration FOLDER")


def run(options: argparse.Namespace) -> int:
    """Runs `bench`; returns the exit status."""
    from keras_se.benchmark import bench, recommend

    formats = _formats(options)
    model = resolve_model(options.model, options.weights)
    if model.network is None:
        raise ValueError(f"{options.model!r} is an export already: only Keras models are exported.")
    images = _images(options, model)
    with tempfile.TemporaryDirectory() as folder, native_stderr_dropped():
        rows = bench(
            model.network,
            Path(folder),
            images,
            formats,
            batches=sorted(set(options.batch)),
            rounds=options.rounds,
            threads=options.threads,
            say=lambda text: print(f"keras-se: {text}", file=sys.stderr, flush=True),
        )
    best = recommend(rows)
    if options.json:
        print(json.dumps(_described(rows, best, model, images, options), indent=1))
        return OK
    print(_table(rows))
    print(_advice(best))
    return OK


def _formats(options):
    """Names of the formats to try: those asked for, or all that this environment can write."""
    from keras_se.export import FORMATS as KNOWN

    if options.formats:
        for name in options.formats:
            KNOWN[name].require_environment()
        return list(dict.fromkeys(options.formats))
    formats = []
    for name in RUNNABLE:
        if name.endswith(INTEGER) and options.calibration is None:
            continue
        try:
            KNOWN[name].require_environment()
            formats.append(name)
        except (ValueError, ImportError) as error:
            print(f"keras-se: {name} is left out: {error}", file=sys.stderr)
    return formats


def _images(options: argparse.Namespace, model: "ResolvedModel") -> "np.ndarray":
    """Images as the network takes them: of the folder, or random ones."""
    import numpy as np

    from keras_se.data_format import image_shape, spatial_shape

    own = spatial_shape(model.network.inputs[0].shape)
    known = model.preprocessing and model.preprocessing.size
    sides = [options.size or side or known or SIZE for side in own]
    if any(side not in (None, size) for side, size in zip(own, sides, strict=True)):
        raise ValueError(
            f"--size must be that of the model, {own[0]} pixels. Received: {options.size}"
        )
    if options.calibration is not None:
        if model.preprocessing is not None:
            sized = model.preprocessing.replace(size=sides[0])
            model = dataclasses.replace(model, preprocessing=sized)
        return load_calibration(options.calibration, model)[0]
    shape = (RANDOM_IMAGES, *image_shape(*sides, model.channels))
    return np.random.default_rng(0).standard_normal(shape, "float32")


def _table(rows: list["Row"]) -> str:
    from keras_se.formatting import text_table

    batches = list(rows[0].seconds)
    heads = [f"batch {batch}, ms (quartiles)" for batch in batches]
    table = [("format", "MB", "agreement %", *heads)]
    for row in rows:
        times = (
            "{:.2f} ({:.2f} to {:.2f})".format(*(1000 * value for value in row.seconds[batch]))
            for batch in batches
        )
        table.append((row.format, f"{row.size / 1e6:.1f}", f"{100 * row.agreement:.2f}", *times))
    return text_table(table, "<>>" + ">" * len(batches))


def _advice(best):
    if best is None:
        return "take none of them: their likeliest classes are not the model's"
    return f"take {best[0]} for latency and {best[1]} for throughput"


def _described(rows, best, model, images, options):
    return {
        "model": model.name,
        "image_shape": list(images.shape[1:]),
        "images": len(images),
        "rounds": options.rounds,
        "threads": options.threads,
        "formats": [dataclasses.asdict(row) for row in rows],
        "latency": best and best[0],
        "throughput": best and best[1],
    }
