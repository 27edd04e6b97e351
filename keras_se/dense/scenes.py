"""Pictures of squares, discs and triangles, with their boxes and masks, to try things with."""

import json
import os
from pathlib import Path

import numpy as np

from keras_se.files import write_text

CLASSES = ("square", "disc", "triangle")
COLORS = ((200, 60, 60), (60, 180, 75), (70, 90, 220))
SPLITS = ("train", "val")
# Sides of the shapes, as fractions of the picture's.
SMALLEST, LARGEST = 0.2, 0.45


def write_scenes(
    folder: str | os.PathLike, number: int = 8, size: int = 128, seed: int = 0
) -> Path:
    """Writes pictures with one to three shapes that do not overlap, in COCO's format.

    Args:
        folder: Where to. `train` and `val` are the same. `masks` has a picture of the classes of
            the pixels for each, 0 for the background.
        number: Of pictures.
        size: Side of the pictures, in pixels.
        seed: Integer that decides what is on them.

    Returns:
        The folder.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(path.name for path in write_scenes(folder, number=1).iterdir())
    ['annotations', 'masks', 'train', 'val']
    """
    from PIL import Image

    folder, random = Path(folder), np.random.default_rng(seed)
    for name in ("annotations", "masks", *SPLITS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for image in range(1, number + 1):
        picture, mask, boxes = _scene(random, size)
        for split in SPLITS:
            Image.fromarray(picture).save(folder / split / f"{image}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{image}.png")
        images.append({"id": image, "file_name": f"{image}.png"})
        for label, box in boxes:
            row = {"image_id": image, "category_id": label, "bbox": box, "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, "area": box[2] * box[3], **row})
    categories = [{"id": label, "name": name} for label, name in enumerate(CLASSES, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    for split in SPLITS:
        write_text(folder / "annotations" / f"instances_{split}.json", json.dumps(content))
    return folder


def _scene(random, size):
    """A picture, the class of each pixel, and the class and box of each shape."""
    picture = random.integers(90, 130, (size, size, 3)).astype("uint8")
    mask, boxes = np.zeros((size, size), "uint8"), []
    for _ in range(random.integers(1, 4)):
        side = int(size * random.uniform(SMALLEST, LARGEST))
        left, top = (int(corner) for corner in random.integers(0, size - side, 2))
        window = (slice(top, top + side), slice(left, left + side))
        if mask[window].any():
            continue
        label = int(random.integers(1, len(CLASSES) + 1))
        shape = _shape(label, side)
        mask[window][shape] = label
        picture[window][shape] = COLORS[label - 1] + random.integers(-20, 20, 3)
        boxes.append((label, [left, top, side, side]))
    return picture, mask, boxes


def _shape(label, side):
    """Which pixels of a box a shape covers; it touches all four sides."""
    rows, columns = np.mgrid[:side, :side] + 0.5
    if label == 1:
        return np.ones((side, side), bool)
    if label == 2:
        return (rows - side / 2) ** 2 + (columns - side / 2) ** 2 <= side**2 / 4
    return np.abs(columns - side / 2) <= rows / 2
