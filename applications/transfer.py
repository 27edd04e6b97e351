"""What are weights worth? Few images of new classes, from weights of others and from scratch.

python applications/transfer.py --out runs/transfer [--data digits] [--network SEResNet20]
    [--size 8] [--per-class 2 5 20] [--epochs 30] [--smoke]

The first half of the classes trains the weights. Of the second half, a few images of each class
train one network that starts from these weights (first its classifier, then all of it) and one
that starts from random ones; both are measured on the held-out images of that half.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from keras_se import data
from keras_se.training import find_recipe, override, train


def half(dataset, first, per_class=None):
    """One half of the classes, with so many training images of each, those that come first."""
    count = len(dataset.class_names)
    kept = list(range(count // 2) if first else range(count // 2, count))
    parts = []
    for images, labels, most in (
        (dataset.train_images, dataset.train_labels, per_class),
        (dataset.test_images, dataset.test_labels, None),
    ):
        chosen = np.sort(np.concatenate([np.flatnonzero(labels == one)[:most] for one in kept]))
        parts += [images[chosen], np.searchsorted(kept, labels[chosen])]
    return data.Dataset(*parts, class_names=tuple(dataset.class_names[one] for one in kept))


def recipes(options):
    """The recipe of the weights, that of the transfer and that from scratch."""
    common = [f"network={options.network}", f"size={options.size}", f"epochs={options.epochs}"]
    base = override(find_recipe("digits"), [*common, "twin=false", *options.set])
    few = dataclasses.replace(base, batch_size=8, learning_rate=base.learning_rate / 4)
    start = {"weights": str(options.out / "source" / "model.keras"), "norm": "reestimate"}
    moved = dataclasses.replace(few, head_epochs=options.epochs // 3, **start)
    return base, moved, few


def accuracy(recipe, file, out):
    """Trains by a recipe on an array file; gives the accuracy in percent."""
    results = train(dataclasses.replace(recipe, data=f"array:{file}"), out)
    return next(iter(results["networks"].values()))["test_accuracy"]


def study(options):
    """Yields, for each number of images of a class, both accuracies in percent."""
    options.out.mkdir(parents=True)
    dataset = data.load(options.data, size=options.size)
    base, moved, scratch = recipes(options)
    source = options.out / "source.npz"
    data.prepare(half(dataset, first=True), source)
    accuracy(base, source, options.out / "source")
    for count in options.per_class:
        file = options.out / f"target{count}.npz"
        data.prepare(half(dataset, first=False, per_class=count), file)
        yield (
            count,
            accuracy(moved, file, options.out / f"moved{count}"),
            accuracy(scratch, file, options.out / f"scratch{count}"),
        )


def main(arguments=None):
    """Prints a line for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--data", default="digits", help="a set with at least four classes")
    parser.add_argument("--network", default="SEResNet20", help="default: SEResNet20")
    parser.add_argument("--size", type=int, default=8, help="side of the images in pixels")
    parser.add_argument("--per-class", type=int, nargs="+", default=[2, 5, 20], help="how many")
    parser.add_argument("--epochs", type=int, default=30, help="of each training (default: 30)")
    parser.add_argument("--set", action="append", default=[], help="change the recipe: KEY=VALUE")
    parser.add_argument("--smoke", action="store_true", help="three epochs, one number of images")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.epochs, options.per_class = 3, options.per_class[:1]
    rows = list(study(options))
    print(f"{'images of a class':>18} {'from weights (%)':>17} {'from scratch (%)':>17}")
    for count, moved, scratch in rows:
        print(f"{count:18} {moved:17.2f} {scratch:17.2f}")


if __name__ == "__main__":
    main()
