"""Pictures with boxes of a dataset that TensorFlow Datasets has prepared, such as `coco/2017`."""

import io
from collections.abc import Sequence
from typing import Any

from keras_se.data.sources.tfds import HELD_OUT, RowImage, prepared_builder, undecoded_rows
from keras_se.dense.coco import Picture, box_within, picture_row, warn_of_problems
from keras_se.image_files import open_image


def read_coco_tfds(name: str, split: str) -> tuple[list[Picture], tuple[str, ...], list[str]]:
    """Reads the boxes of a dataset of TensorFlow Datasets, leaving out what is wrong in them.

    It must be prepared as array_record, which gives any picture at any time; nothing is downloaded.
    Each file is opened once, for its size.

    Args:
        name: A name of TensorFlow Datasets, such as `"coco/2017"`.
        split: `"train"`, or `"val"` for its validation split.

    Returns:
        As `keras_se.dense.coco.read_coco`.

    Raises:
        ImportError: If TensorFlow Datasets is missing.
        ValueError: If it does not know the name, has not prepared it as array_record (the message
            says how to), or it has no boxes.
    """
    builder = prepared_builder(name)
    features = builder.info.features
    if not {"image", "objects"} <= set(features):
        raise ValueError(
            f"data='tfds:{name}' must be a dataset with `image` and `objects`. "
            f"It has: {', '.join(features)}"
        )
    names = ("train",) if split == "train" else HELD_OUT
    part = next((each for each in names if each in builder.info.splits), None)
    if part is None:
        raise ValueError(f"data='tfds:{name}' has no split {' or '.join(names)}.")
    rows = undecoded_rows(builder, part, name)
    pictures, problems = [], []
    for index in range(len(rows)):
        picture = _picture(rows, index, problems)
        pictures += [] if picture is None else [picture]
    if not any(len(picture.labels) for picture in pictures):
        raise ValueError(f"tfds:{name} has no box that can be used. {'; '.join(problems[:5])}")
    warn_of_problems(f"tfds:{name}", problems)
    return pictures, tuple(features["objects"]["label"].names), problems


def _picture(rows: Sequence, index: int, problems: list[str]) -> Picture | None:
    """One row; what is wrong in it is added to the problems."""
    row = rows[index]
    name = f"image {index}"
    if "image/filename" in row:
        name = f"{row['image/filename'].decode()} ({name})"
    try:
        width, height = size = open_image(io.BytesIO(row["image"]), name).size
    except ValueError as error:
        problems.append(str(error))
        return None
    boxes: list[tuple[Any, int, bool]] = []
    objects = row["objects"]
    columns = (objects["bbox"], objects["label"], objects["is_crowd"])
    for (top, left, bottom, right), label, crowd in zip(*columns, strict=True):
        # Fractions of the sides.
        sides = left * width, top * height, (right - left) * width, (bottom - top) * height
        box, wrong = box_within(sides, size)
        if wrong:
            problems.append(f"{name}: {wrong}")
        else:
            boxes.append((box, int(label), bool(crowd)))
    number = int(row.get("image/id", index))
    return picture_row(number, RowImage(rows, index, name), size, boxes)
