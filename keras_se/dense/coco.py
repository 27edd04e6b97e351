"""Pictures with boxes, as the JSON files of COCO have them, and batches of these for a detector."""

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_se.dense.batches import PictureBatches, load_picture
from keras_se.image_files import open_image, to_rgb

LOG = logging.getLogger("keras_se")
# What fills up the boxes and labels of an image that has fewer than others of the batch.
NO_BOX = -1
# Of the boxes that are drawn, one after the other; white letters can be read on them.
COLORS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#c2185b")


@dataclass(frozen=True)
class Picture:
    """A picture and the boxes on it.

    Attributes:
        id: Its number in the annotations.
        path: The file, or a callable that returns a `PIL.Image.Image`.
        size: Width and height in pixels.
        boxes: float32 `(box, 4)`: left, top, right and bottom in pixels.
        labels: Integers, positions in the class names.
        crowd: Booleans, whether a box is around a crowd: not trained on, and not counted.
    """

    id: int
    path: Path | Callable
    size: tuple[int, int]
    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray

    @classmethod
    def of_file(cls, path: str | os.PathLike) -> "Picture":
        """Returns a picture of which nothing is known but the file."""
        with Path(path).open("rb") as stream:
            size = open_image(stream, path).size
        return picture_row(0, Path(path), size, [])


def read_coco(
    folder: str | os.PathLike, split: str
) -> tuple[list[Picture], tuple[str, ...], list[str]]:
    """Reads the annotations of a folder in COCO's format, leaving out what is wrong in them.

    The folder has `annotations/instances_NAME.json` and the pictures in `NAME`, which begins with
    the split's name, such as `train2017`. Left out are boxes that are empty, outside of the picture
    or of unknown classes, those of unknown pictures, numbers that come again, and pictures that are
    missing or no images. Boxes that stick out are cut off.

    Args:
        folder: The folder.
        split: `"train"` or `"val"`.

    Returns:
        The pictures, those without boxes too; the names of the classes; and a line for each thing
        that was left out, which the log counts.

    Raises:
        ValueError: If the file is not of this format, or nothing is left of it.
        OSError: If there is no such file.
    """
    name, path = _file(Path(folder), split)
    try:
        content = json.loads(path.read_text())
        records, categories = content["images"], content["categories"]
        annotations = content["annotations"]
        classes = {int(row["id"]): str(row["name"]) for row in categories}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must be JSON in COCO's format: {error!r}") from error
    problems = []
    pictures = _pictures(records, Path(folder) / name, problems)
    labels = {number: label for label, number in enumerate(sorted(classes))}
    boxes = _boxes(annotations, pictures, labels, problems)
    if not any(boxes.values()):
        raise ValueError(f"{path} has no box that can be used. {'; '.join(problems[:5])}")
    warn_of_problems(path, problems)
    rows = [picture_row(number, *file, boxes[number]) for number, file in pictures.items()]
    return rows, tuple(classes[number] for number in sorted(classes)), problems


def warn_of_problems(where: Any, problems: list[str]) -> None:
    """Says in the log how much was left out of annotations."""
    if problems:
        LOG.warning("%s: left out %d things, such as: %s", where, len(problems), problems[0])


def _file(folder, split):
    """The name of a split's folder, and its file."""
    files = sorted((folder / "annotations").glob(f"instances_{split}*.json"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise FileNotFoundError(
            f"{folder}/annotations must have one file instances_{split}*.json. It has: {names}"
        )
    return files[0].stem.removeprefix("instances_"), files[0]


def _pictures(records, folder, problems):
    """File and size of each picture that can be opened, by its number."""
    pictures = {}
    for record in records:
        number, path = record.get("id"), folder / str(record.get("file_name"))
        if number in pictures:
            problems.append(f"image {number}: its number comes again")
        elif not path.is_file():
            problems.append(f"image {number}: there is no file {path}")
        else:
            try:
                with path.open("rb") as stream:
                    pictures[number] = (path, open_image(stream, path).size)
            except ValueError as error:
                problems.append(f"image {number}: {error}")
    return pictures


def _boxes(annotations, pictures, labels, problems):
    """Box, label and whether it is a crowd, of each annotation that is right, by picture."""
    boxes, seen = {number: [] for number in pictures}, set()
    for row in annotations:
        number = row.get("id")
        box, wrong = None, None
        if number in seen:
            wrong = "its number comes again"
        elif row.get("image_id") not in pictures:
            wrong = f"there is no image {row.get('image_id')}"
        elif row.get("category_id") not in labels:
            wrong = f"there is no class {row.get('category_id')}"
        else:
            box, wrong = box_within(row.get("bbox"), pictures[row["image_id"]][1])
        seen.add(number)
        if wrong:
            problems.append(f"annotation {number}: {wrong}")
        else:
            label = labels[row["category_id"]]
            boxes[row["image_id"]].append((box, label, bool(row.get("iscrowd", 0))))
    return boxes


def box_within(box: Sequence, size: tuple[int, int]) -> tuple[np.ndarray | None, str | None]:
    """Returns the corners of a box inside of its picture, or why it is none.

    Args:
        box: Left, top, width and height in pixels, as COCO has them.
        size: Width and height of the picture.
    """
    try:
        left, top, width, height = (float(side) for side in box)
    except (TypeError, ValueError):
        return None, f"no box: {box!r}"
    if not np.isfinite([left, top, width, height]).all() or width <= 0 or height <= 0:
        return None, f"an empty box: {box!r}"
    corners = np.array([left, top, left + width, top + height])
    inside = np.clip(corners, 0, [*size, *size])
    if (inside[2:] <= inside[:2]).any():
        return None, f"a box outside of the picture of {size[0]}x{size[1]} pixels: {box!r}"
    return inside, None


def picture_row(
    number: int, path: Path | Callable, size: tuple[int, int], rows: Sequence
) -> Picture:
    """Returns the `Picture` of a file and its boxes, each with its label and if it is a crowd."""
    boxes = np.array([box for box, _, _ in rows], "float32").reshape(-1, 4)
    labels, crowd = ([row[column] for row in rows] for column in (1, 2))
    return Picture(number, path, size, boxes, np.array(labels, int), np.array(crowd, bool))


class BoxBatches(PictureBatches):
    """Batches of pictures with their boxes, for the `fit` of a detector of KerasHub or KerasCV.

    Args:
        pictures: What `read_coco` gives. Boxes around crowds are left out.
        side: Of the images, in pixels; pictures are fitted into squares.
        batch_size: Images of a batch; the last ones of an epoch that fill none are left out.
        seed: Integer that fixes the order, and which images are flipped; `None` for neither.
        label: The name of the labels: `"labels"`, KerasHub's, or `"classes"`, KerasCV's.

    Raises:
        ValueError: If there are fewer pictures than `batch_size`.
    """

    def __init__(
        self,
        pictures: list[Picture],
        side: int,
        batch_size: int,
        *,
        seed: int | None = 0,
        label: str = "labels",
    ):
        super().__init__(pictures, side, batch_size, seed)
        self.label = label
        # The same for each batch, so that a step is compiled once. KerasHub 0.32 matches an anchor
        # to what is behind the last box; if that is none of an image's, training goes on.
        self.most = 1 + max(np.count_nonzero(~picture.crowd) for picture in pictures)

    def __getitem__(self, step: int) -> tuple[np.ndarray, dict]:
        """Returns float32 images of pixels from 0 to 255, their boxes and labels."""
        images, boxes, labels = self._columns(step)
        return images, {"boxes": boxes, self.label: labels}

    def _example(self, picture, flip):
        image, scale = load_picture(picture.path, self.side)
        boxes = np.full((self.most, 4), NO_BOX, "float32")
        labels = np.full(self.most, NO_BOX, "float32")
        counted = ~picture.crowd
        number = np.count_nonzero(counted)
        boxes[:number] = picture.boxes[counted] * scale
        labels[:number] = picture.labels[counted]
        if flip:
            image = image[:, ::-1]
            boxes[:number, [0, 2]] = self.side - boxes[:number, [2, 0]]
        return image, boxes, labels


def draw_boxes(path: str | os.PathLike, boxes: np.ndarray, texts: list[str]) -> Any:
    """Draws boxes on a picture.

    Args:
        path: The file.
        boxes: `(box, 4)`, the corners in pixels.
        texts: What is written at the upper left corner of each; the first are on top.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not an image.
    """
    from PIL import ImageDraw, ImageFont

    with Path(path).open("rb") as stream:
        picture = to_rgb(open_image(stream, path), path)
    # Lines and letters that can be seen at any size of the picture.
    width = max(1, round(max(picture.size) / 300))
    font = ImageFont.load_default(max(10, 7 * width))
    pen = ImageDraw.Draw(picture)
    # The first on top.
    for number, (box, text) in reversed(list(enumerate(zip(boxes.tolist(), texts, strict=True)))):
        color = COLORS[number % len(COLORS)]
        pen.rectangle(box, outline=color, width=width)
        # Inside of the picture, also if the box begins near its right border.
        corner = (max(0, min(box[0], picture.width - pen.textlength(text, font=font))), box[1])
        pen.rectangle(pen.textbbox(corner, text, font=font), fill=color)
        pen.text(corner, text, fill="white", font=font)
    return picture
