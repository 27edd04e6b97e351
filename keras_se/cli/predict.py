"""The command `predict`."""

import argparse
import csv
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from keras_se.cli.command import OK, SOME_SKIPPED
from keras_se.cli.images import check_exist, list_images, load_images
from keras_se.cli.models import MODEL_HELP, WEIGHTS_HELP, check_model, resolve_model

BATCH = 16


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


def check(options: argparse.Namespace) -> None:
    """Raises an error, without Keras, for arguments that cannot work."""
    if options.top < 1:
        raise ValueError(f"--top must be at least 1. Received: {options.top}")
    check_model(options.model, options.weights)
    check_exist(options.images)


def run(options: argparse.Namespace) -> int:
    """Runs `predict`; returns the exit status."""
    files = list_images(options.images)
    model = resolve_model(options.model, options.weights, options.preprocessing)
    skipped = []
    images = load_images(files, model.require_preprocessing(), skipped)
    options.write(_predict(model, images, options.top))
    return SOME_SKIPPED if skipped else OK


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
