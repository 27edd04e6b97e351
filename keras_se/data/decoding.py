"""Decodes the image files of a batch, in this process or in several that do nothing else."""

import io
import multiprocessing
import pickle
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

import keras_se_command
from keras_se.augmentation.crop import random_box
from keras_se.image_files import open_image, source_name, to_rgb
from keras_se.preprocessing import Preprocessing


def decode_images(
    sources: Sequence,
    preprocessing: Preprocessing,
    randoms: Sequence | None = None,
    min_area: float | None = None,
) -> tuple[np.ndarray, list[str | None]]:
    """Decodes images into squares.

    Args:
        sources: Paths of image files, or functions that return a `PIL.Image.Image`.
        preprocessing: How each becomes a square.
        randoms: For each of them a `numpy.random.Generator`, to crop a random box instead of the
            center; see `keras_se.augmentation.crop.random_box`.
        min_area: The smallest area of such a box, as a fraction of the image's.

    Returns:
        The uint8 images `(image, size, size, 3)`, black where they could not be read, and for each
        of them `None`, or its name and why it could not.
    """
    images = np.zeros((len(sources), preprocessing.size, preprocessing.size, 3), "uint8")
    errors = [None] * len(sources)
    for index, source in enumerate(sources):
        random = randoms[index] if randoms else None
        try:
            images[index] = _decode(source, preprocessing, random, min_area)
        except Exception as error:  # Pillow's decoders raise almost anything on damaged files.
            name, text = source_name(source), " ".join(str(error).split())
            errors[index] = text if text.startswith(f"{name}: ") else f"{name}: {text}"
    return images, errors


def decode_in_processes(workers: int, *arguments: Any) -> tuple[np.ndarray, list[str | None]]:
    """Calls `decode_images` in one of several processes, and waits for it.

    Several threads may call it, and must for several processes to have work. The processes start
    with the first call, and end when this process does.

    Args:
        workers: How many processes there are, the same ones for all calls with this number.
        arguments: Those of `decode_images`; sources must be paths.

    Returns:
        As `decode_images`.

    Raises:
        OSError: If one of the processes has ended.
    """
    pool = _processes(workers)
    try:
        return pool.submit(_decode_pickled, pickle.dumps(arguments)).result()
    except BrokenProcessPool as error:
        with _LOCK:
            # Unless another thread has seen it, too, and a third has started new ones.
            if _POOLS.get(workers) is pool:
                del _POOLS[workers]
        raise OSError(
            "A process that decodes images has ended, killed by the system perhaps for want of "
            "memory. With fewer workers less is needed."
        ) from error


# The processes that have started, by their number.
_POOLS, _LOCK = {}, threading.Lock()


def _processes(workers):
    with _LOCK:
        if workers not in _POOLS:
            # Not forked: a backend has threads, which would not survive that.
            context = multiprocessing.get_context("spawn")
            start = keras_se_command.start_worker, (False,)
            _POOLS[workers] = ProcessPoolExecutor(workers, context, *start)
        return _POOLS[workers]


def _decode_pickled(arguments):
    """Unpickled here, when the process has loaded Keras without the lines of its backend."""
    return decode_images(*pickle.loads(arguments))


def _decode(source, preprocessing, random, min_area):
    """The pixels of an image, `(size, size, 3)`."""
    image = source() if callable(source) else source
    if random is None:
        return preprocessing.load_image(image)
    return _random_crop(image, preprocessing, random, min_area)


def _random_crop(source, preprocessing, random, min_area):
    """A random box of an image, resized to `(size, size, 3)`."""
    from PIL import Image

    size = preprocessing.size
    if isinstance(source, Image.Image):
        image = source
    else:
        # Read at once: Pillow reads a header by a few bytes at a time.
        image = open_image(io.BytesIO(Path(source).read_bytes()), source_name(source))
    with image:
        width, height = image.size
        box = random_box(random, width, height, min_area)
        # A JPEG is decoded at a half, a quarter or an eighth if that is still large enough.
        shrink = max(min(box[2] - box[0], box[3] - box[1]) / size, 1)
        image.draft("RGB", (int(width / shrink), int(height / shrink)))
        scale_x, scale_y = image.width / width, image.height / height
        box = (box[0] * scale_x, box[1] * scale_y, box[2] * scale_x, box[3] * scale_y)
        # Not converted if it need not be: that would be a copy.
        rgb = image if image.mode == "RGB" else to_rgb(image, source_name(source))
        resampling = Image.Resampling[preprocessing.interpolation.upper()]
        return np.asarray(rgb.resize((size, size), resampling, box=box))
