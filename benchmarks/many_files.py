"""How long a million images take until the first batch, and how fast they are read then.

KERAS_BACKEND=jax python benchmarks/many_files.py FOLDER [--files 1000000] [--side 48] [--size 32]

FOLDER is made if it is not there: `train` and `val`, each with 1,000 classes, of JPEG files of
noise, copies of 256 different ones, 1.8 kB each at a width of 48 pixels. Then

* two processes, one after the other, load it and make a training batch of 64 images in random
  order, cropped at random: seconds since the imports, and memory;
* `TrainBatches` and Pillow in one process a core, as in `data.py`, read the same number of files in
  turns: images per second.

With `--data tfds:NAME`, which `records.py` writes, both are measured of that set too.
"""

import argparse
import concurrent.futures
import functools
import itertools
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import data as small_folder
import numpy as np
import timing

CLASSES, DISTINCT, HELD_OUT = 1000, 256, 50


def make_folder(root, files, side):
    """Writes copies of a few JPEG files into `train` and `val`, each with all the classes."""
    with tempfile.TemporaryDirectory() as folder:
        small_folder.make_folder(Path(folder), DISTINCT, side)
        contents = [path.read_bytes() for path in sorted(Path(folder, "train").rglob("*.jpg"))]
    copies = itertools.cycle(contents)
    for part, count in (("train", files // CLASSES), ("val", HELD_OUT)):
        for label in range(CLASSES):
            folder = root / part / f"n{label:08}"
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"n{label:08}_{number}.JPEG").write_bytes(next(copies))


def load(name, size):
    """A dataset whose images are decoded batch by batch."""
    from keras_se import data

    return data.load(name, size=size, memory=0, decode_train=False)


def train_batches(dataset, steps):
    """Batches of a dataset in random order and cropped at random, as a training reads them."""
    from keras_se import data

    return data.TrainBatches(
        dataset.train_images,
        dataset.train_labels,
        small_folder.BATCH,
        augment=lambda images, labels, step: ((images, step), labels),
        min_area=0.08,
        # Else it would go on with the next ones in the turn of another.
        steps_per_epoch=steps,
    )


def memory():
    """Largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10


def print_start(name, size):
    """Prints seconds and memory of this process until its first batch."""
    from keras_se import data  # noqa: F401 (not to be timed)

    row, start = {"MiB of imports": memory()}, time.perf_counter()
    computed = time.process_time()
    dataset = load(name, size)
    row["seconds of loading"] = round(time.perf_counter() - start, 2)
    row["of the processor"] = round(time.process_time() - computed, 2)
    train_batches(dataset, 1)[0]
    row["until the first batch"] = round(time.perf_counter() - start, 2)
    print(json.dumps(row | {"MiB": memory(), "images": len(dataset.train_images)}))


def readers(names, folder, size, steps, pool):
    """Functions that read the same number of images, by name."""
    cores, count = os.cpu_count(), steps * small_folder.BATCH
    paths = load(f"folder:{folder}", size).train_images.sources
    random = np.random.default_rng(0)

    def ours(batches):
        for index in range(steps):
            batches[index]
        batches.on_epoch_end()

    def pillow():
        chosen = [paths[index] for index in random.integers(0, len(paths), count)]
        shares = [chosen[share::cores] for share in range(cores)]
        list(pool.map(small_folder.read_with_pillow, shares, [size] * cores, range(cores)))

    functions = {small_folder.PILLOW: pillow}
    for name in names:
        functions[name] = functools.partial(ours, train_batches(load(name, size), steps))
    return functions


def main(arguments=None):
    """Prints seconds and memory until the first batch, and images per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the files are")
    parser.add_argument("--files", type=int, default=1_000_000, help="to train on")
    parser.add_argument("--side", type=int, default=48, help="their width, in pixels")
    parser.add_argument("--data", nargs="*", default=[], help="what to read beside the folder")
    parser.add_argument("--size", type=int, default=32, help="side of the crops, in pixels")
    parser.add_argument("--steps", type=int, default=100, help="batches of a turn (default: 100)")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns (default: 5)")
    parser.add_argument("--start", action="store_true", help="only until the first batch, here")
    options = parser.parse_args(arguments)
    names = [f"folder:{options.folder}", *options.data]
    if options.start:
        print_start(*options.data, options.size)
        return
    if not options.folder.exists():
        make_folder(options.folder, options.files, options.side)
    timing.print_environment()
    for name in names * 2:
        command = [sys.executable, __file__, str(options.folder), "--start", "--data", name]
        command += ["--size", str(options.size)]
        output = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
        print(f"{name}: {output}", end="")
    # Not forked: a backend has threads, which would not survive that.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), context) as pool:
        functions = readers(names, options.folder, options.size, options.steps, pool)
        seconds = timing.interleave(functions, options.rounds)
    pillow = seconds[small_folder.PILLOW]
    for name, median in seconds.items():
        rate = options.steps * small_folder.BATCH / median
        print(f"{name:40} {rate:10.1f} images/s {pillow / median:10.3f} of Pillow")


if __name__ == "__main__":
    main()
