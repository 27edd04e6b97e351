"""The command `predict`."""

import argparse
import csv
import functools
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from keras_se.cli.command import OK, SOME_SKIPPED
from keras_se.cli.images import check_exist, find_images, load_images
from keras_se.cli.models import (
    MODEL_HELP,
    WEIGHTS_HELP,
    check_model,
    find_path,
    resolve_model,
)
from keras_se.files import sha256
from keras_se.formatting import printable

BATCH = 16
# What goes with --out only, and what it is without being said.
INTO_A_FOLDER = {"engine": "processes", "workers": 1, "part_size": 2000, "address": None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `predict` to its parser."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", type=Path, help="image files, or folders of them"
    )
    parser.add_argument("--weights", metavar="TAG_OR_FILE", help=WEIGHTS_HELP)
    parser.add_argument(
        "--preprocessing",
        metavar="[NETWORK.]TAG",
        help="the checkpoint whose resizing and normalization to use, such as seresnet50.a1_in1k "
        "(default: the model's own)",
    )
    parser.add_argument(
        "--top", metavar="N", type=int, default=5, help="classes to print for an image (default: 5)"
    )
    style = parser.add_mutually_exclusive_group()
    style.add_argument(
        "--json",
        dest="write",
        action="store_const",
        const=write_json,
        default=write_text,
        help="print a JSON list of images with their predictions",
    )
    style.add_argument(
        "--csv",
        dest="write",
        action="store_const",
        const=write_csv,
        help="print a line of comma-separated values for each image and class",
    )

    _add_arguments_of_folders(parser)


def _add_arguments_of_folders(parser):
    group = parser.add_argument_group(
        "many images",
        "Predictions of any number of images into Parquet files, by several processes.",
    )
    group.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="folder to write Parquet files into, one for each part of the images; the same "
        "command again does the parts that are not there",
    )
    group.add_argument(
        "--part-size", metavar="N", type=int, help="images of a part (default: 2000)"
    )
    group.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="processes that predict, or actors of Ray; each loads the model (default: 1)",
    )
    group.add_argument(
        "--engine",
        choices=("processes", "ray"),
        help="whether processes of this machine or a Ray cluster predicts (default: processes)",
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of the Ray cluster (default: RAY_ADDRESS of the environment, one that was started on "
        "this machine, or a new one)",
    )


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for arguments that cannot work."""
    if options.top < 1:
        raise ValueError(f"--top must be at least 1. Received: {options.top}")
    _check_folder(options)
    check_model(options.model, options.weights)
    check_exist(options.images)


def _check_folder(options):
    """What predicts into a folder goes with --out, and the tables for the terminal do not."""
    for name, default in INTO_A_FOLDER.items():
        value = getattr(options, name)
        if value is None:
            setattr(options, name, default)
        elif options.out is None:
            raise ValueError(f"--{name.replace('_', '-')} goes with --out DIR.")
    if options.out and options.write is not write_text:
        raise ValueError("--out writes Parquet files: leave out --json and --csv.")
    if options.address and options.engine != "ray":
        raise ValueError("--address goes with --engine ray.")


def run(options: argparse.Namespace) -> int:
    """Runs `predict`; returns the exit status."""
    if options.out:
        return _predict_into_folder(options)
    files = list(find_images(options.images))
    model = resolve_model(options.model, options.weights, options.preprocessing)
    skipped = []
    images = load_images(files, model.require_preprocessing(), skipped)
    options.write(_predict(model, images, options.top))
    return SOME_SKIPPED if skipped else OK


def _predict_into_folder(options):
    """Predicts into Parquet files, and says how many there are."""
    from keras_se.prediction import open_folder, predict_files

    # Processes of other machines may work in other folders.
    path = find_path(options.model)
    model = str(path.absolute()) if path else options.model
    weights = options.weights
    if weights and Path(weights).is_file():
        weights = str(Path(weights).absolute())
    images = [image.absolute() for image in options.images]
    settings = {
        "model": model,
        "weights": weights,
        "sha256": [sha256(file) for file in _model_files(path, weights)],
        "preprocessing": options.preprocessing,
        "images": [printable(str(image)) for image in images],
        "top": options.top,
    }
    load = functools.partial(resolve_model, model, weights, options.preprocessing)
    names = ("top", "engine", "workers", "address")
    files, out = find_images(images), options.out.absolute()
    with open_folder(out, settings, files, options.part_size) as folder:
        unreadable = predict_files(load, folder, **{name: getattr(options, name) for name in names})
    print(
        f"{folder.file_count} images in {len(folder)} parts in {options.out}, "
        f"{unreadable} that could not be read"
    )
    return SOME_SKIPPED if unreadable else OK


def _model_files(path, weights):
    """The files that the predictions depend on: the model's, with those beside it, and weights."""
    from keras_se.export.formats import BY_SUFFIX

    if path is None:
        return [Path(weights)] if weights and Path(weights).is_file() else []
    beside = BY_SUFFIX[path.suffix].beside if path.is_file() and path.suffix in BY_SUFFIX else ()
    return [path, *(path.with_suffix(suffix) for suffix in beside)]


def _predict(model, images, top) -> Iterator[tuple[Path, list[dict]]]:
    """The path of each image and its likeliest classes, the first the likeliest."""
    import numpy as np

    while batch := list(itertools.islice(images, BATCH)):
        scores = model.predict(np.stack([pixels for _, pixels in batch]))
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        for (path, _), classes, row in zip(batch, best.tolist(), scores, strict=True):
            names = model.class_names or [f"class {index}" for index in range(len(row))]
            yield (
                path,
                [
                    {"class": index, "name": names[index], "probability": float(row[index])}
                    for index in classes
                ],
            )


def write_text(predictions: Iterable[tuple[Path, list[dict]]]) -> None:
    """Prints predictions for people."""
    for path, classes in predictions:
        print(path)
        for row in classes:
            print(f"  {100 * row['probability']:6.2f} %  {row['name'].replace('_', ' ')}")


def write_json(predictions: Iterable[tuple[Path, list[dict]]]) -> None:
    """Prints predictions as a JSON list, an image a line."""
    start = "["
    for path, classes in predictions:
        text = json.dumps({"image": str(path), "predictions": classes}, ensure_ascii=False)
        print(f"{start}\n{text}", end="")
        start = ","
    print("[]" if start == "[" else "\n]")


def write_csv(predictions: Iterable[tuple[Path, list[dict]]]) -> None:
    """Prints predictions as comma-separated values, a line for each image and class."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("image", "rank", "class", "name", "probability"))
    for path, classes in predictions:
        for rank, row in enumerate(classes, 1):
            writer.writerow((path, rank, row["class"], row["name"], row["probability"]))
