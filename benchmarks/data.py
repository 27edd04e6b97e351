"""How fast the input pipeline alone is: decode, crop at random, batch.

KERAS_BACKEND=jax python benchmarks/data.py [--images 512] [--side 500] [--size 224] [--rounds 5]
    [--out decode.json]

It makes JPEG files of noise that compress like photographs and reads them in turns by

* `keras_se, threads`: `TrainBatches` of a folder, decoded late by threads and cropped, as training
  does it; flips and all else happen within the step, on the device;
* `keras_se, processes`: the same by a process per core, as `keras-se train --workers` does it;
* `Pillow`: Pillow in one process per core, the same crop and no batches: the reference of the
  target, which is a ratio of 0.95 or better.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import tempfile
from pathlib import Path

import numpy as np
import timing
from PIL import Image

BATCH, PILLOW = 64, "Pillow"


def make_folder(root, images, side):
    """Writes a folder of two classes of JPEG files, smooth with some noise, 4 to 3."""
    random = np.random.default_rng(0)
    for index in range(images):
        coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((side, side * 3 // 4), Image.Resampling.BICUBIC)
        noisy = np.asarray(picture, "int16") + random.integers(-8, 9, (side * 3 // 4, side, 3))
        for part in ("train", "test"):
            path = root / part / f"class{index % 2}" / f"{index}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            if part == "train" or index < 2:
                Image.fromarray(np.uint8(noisy.clip(0, 255))).save(path, quality=90)


def read_with_pillow(paths, size, seed):
    """What one process does to its share of the files; gives the number of images."""
    from keras_se.augmentation.crop import random_box

    random = np.random.default_rng(seed)
    for path in paths:
        with Image.open(path) as picture:
            box = random_box(random, *picture.size, 0.08)
            small = picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, box=box)
        np.asarray(small)
    return len(paths)


def pipelines(root, size, pool):
    """The pipelines by name, as functions that read all images once."""
    from keras_se import data

    cores = os.cpu_count()

    def train_batches(workers):
        loaded = data.load(f"folder:{root}", size=size, memory=0, workers=workers)
        return data.TrainBatches(
            loaded.train_images,
            loaded.train_labels,
            BATCH,
            augment=lambda images, labels, step: ((images, step), labels),
            min_area=0.08,
        )

    by_threads, by_processes = train_batches(0), train_batches(cores)
    paths = by_threads.images.sources

    def read(batches):
        for index in range(len(batches)):
            batches[index]
        batches.on_epoch_end()

    def pillow():
        shares = [paths[index::cores] for index in range(cores)]
        list(pool.map(read_with_pillow, shares, [size] * cores, range(cores)))

    functions = {
        "keras_se, threads": lambda: read(by_threads),
        "keras_se, processes": lambda: read(by_processes),
        PILLOW: pillow,
    }
    return functions, len(by_threads) * BATCH, len(paths)


def main(arguments=None):
    """Prints images per second of the pipelines and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512, help="how many files (default: 512)")
    parser.add_argument("--side", type=int, default=500, help="their width, in pixels")
    parser.add_argument("--size", type=int, default=224, help="side of the crops, in pixels")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns (default: 5)")
    parser.add_argument("--out", type=Path, help="JSON file to write as well")
    options = parser.parse_args(arguments)
    # Not forked: a backend has threads, which would not survive that.
    context = multiprocessing.get_context("spawn")
    spawned = concurrent.futures.ProcessPoolExecutor(os.cpu_count(), context)
    with tempfile.TemporaryDirectory() as root, spawned as pool:
        make_folder(Path(root), options.images, options.side)
        functions, ours, theirs = pipelines(root, options.size, pool)
        seconds = timing.interleave(functions, options.rounds)
    rates = {name: (theirs if name == PILLOW else ours) / seconds[name] for name in functions}
    timing.print_environment()
    for name, rate in rates.items():
        print(f"{name:20} {rate:10.1f} images/s  {rate / rates[PILLOW]:6.3f} of Pillow's")
    if options.out:
        from keras_se.files import write_text

        text = json.dumps({"size": options.size, "images per second": rates})
        write_text(options.out, text + "\n")


if __name__ == "__main__":
    main()
