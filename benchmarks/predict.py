"""How many images a second `keras-se predict --out` predicts, against a plain loop.

KERAS_BACKEND=jax python benchmarks/predict.py [--images 4000] [--side 128] [--rounds 5]
    [--workers 2] [--ray]

It makes JPEG files of noise that compress like photographs, one in a hundred of them broken, and
SE-ResNet-20 as an OpenVINO export, and predicts all of them in turns

* in a plain loop: two threads decode, the network takes batches, nothing is written;
* into a folder, by this process and by `--workers` processes, which start anew each time;
* with `--ray`, by actors of a Ray cluster on this machine, which runs already.

Before, it compares the files of all of them.
"""

import argparse
import functools
import resource
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import timing
from data import make_folder

from keras_se.applications import SEResNet20
from keras_se.cli.models import resolve_model
from keras_se.export import export_model
from keras_se.prediction import open_folder, predict_files

BATCH = 32


def make_files(root, images, side):
    """Writes the images and returns their paths."""
    make_folder(root, images, side)
    files = sorted((root / "train").rglob("*.jpg"))
    for path in files[::100]:
        path.write_bytes(b"broken")
    return files


def plain_loop(model, files):
    """Decodes in two threads, a batch ahead, and predicts."""
    preprocessing = model.require_preprocessing()

    def decode(path):
        try:
            return preprocessing.load_image(path)
        except (ValueError, OSError):
            return None

    def submit(pool, start):
        return [pool.submit(decode, path) for path in files[start : start + BATCH]]

    with ThreadPoolExecutor(2) as pool:
        following = submit(pool, 0)
        for start in range(0, len(files), BATCH):
            current, following = following, submit(pool, start + BATCH)
            images = [image for future in current if (image := future.result()) is not None]
            model.predict(np.stack(images)).argsort(axis=1)[:, :5]


def into_folder(load, files, out, **options):
    """Predicts into a new folder."""
    shutil.rmtree(out, ignore_errors=True)
    with open_folder(out, {}, files, part_size=500) as folder:
        predict_files(load, folder, batch_size=BATCH, verbose=False, **options)


def contents(out):
    """The bytes of the files of all parts."""
    return [path.read_bytes() for path in sorted(out.glob("part-*.parquet"))]


def main():
    """Compares the files, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ray", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = make_files(root / "images", options.images, options.side)
        export_model(SEResNet20(), root / "model.xml")
        load = functools.partial(resolve_model, str(root / "model.xml"))
        several = f"{options.workers} processes"
        ways = {"this process": {}, several: {"workers": options.workers}}
        if options.ray:
            ways |= {
                f"Ray, actors: {actors}": {"engine": "ray", "workers": actors}
                for actors in (1, options.workers)
            }
        functions = {"a plain loop": functools.partial(plain_loop, load(), files)}
        for name, way in ways.items():
            functions[name] = functools.partial(into_folder, load, files, root / name, **way)
        seconds = timing.interleave(functions, options.rounds)
        assert len({tuple(contents(root / name)) for name in ways}) == 1
        for name, median in seconds.items():
            print(f"{name:20} {len(files) / median:6.0f} images/s  {median:6.2f} s")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"memory of this process: {memory:.2f} GiB at most")


if __name__ == "__main__":
    main()
