"""What are weights worth when there are few images? The same network from weights and from scratch.

python applications/transfer.py --out runs/transfer [--weights cifar10] [--data digits]
    [--per-class 5 10 50] [--seeds 3] [--set KEY=VALUE] [--smoke]

The weights that come with keras_se are of photographs (CIFAR-10); the digits are another task. So
many images of each class train a network that starts from the weights, first its classifier and
then all of it, and one that starts from random weights. Both are measured on all held-out images.
"""

import argparse
import dataclasses
import json
import statistics
from pathlib import Path

import numpy as np

from keras_se import data
from keras_se.recipes import get_recipe, override, smoke
from keras_se.training import train

STARTS = ("weights", "scratch")


def few(dataset, per_class):
    """The dataset with so many training images of each class, those that come first, in color."""
    labels = dataset.train_labels
    chosen = [
        np.flatnonzero(labels == index)[:per_class] for index in range(len(dataset.class_names))
    ]
    chosen = np.sort(np.concatenate(chosen))
    in_color = 3 // dataset.train_images.shape[-1]
    return dataclasses.replace(
        dataset,
        train_images=np.repeat(dataset.train_images[chosen], in_color, axis=-1),
        train_labels=labels[chosen],
        test_images=np.repeat(dataset.test_images, in_color, axis=-1),
    )


def recipe_of(options, start, file, seed):
    """The recipe of one training: both starts share all but the start itself."""
    common = ["epochs=40", "batch_size=10", "warmup_epochs=4", "weight_decay=0.01", "twin=false"]
    common += [f"network={options.network}", f"size={options.size}", "learning_rate=0.02"]
    common += ["base_batch_size=0", "augment=translate(0.1)"]
    recipe = override(get_recipe("cifar10-fast"), [*common, *options.set])
    if options.smoke:
        recipe = dataclasses.replace(smoke(recipe), normalize=recipe.normalize)
    recipe = override(recipe, [f"data=array:{file}", f"seed={seed}"])
    if start == "scratch":
        return recipe
    return dataclasses.replace(recipe, weights=options.weights, head_epochs=recipe.epochs // 8)


def accuracies(options):
    """Trains everything; gives accuracies in percent by start and number of images of a class."""
    options.out.mkdir(parents=True)
    dataset = data.load(options.data, size=options.size)
    by_start = {}
    for count in options.per_class:
        file = options.out / f"images{count}.npz"
        data.prepare(few(dataset, count), file)
        for seed in range(options.seeds):
            for start in STARTS:
                recipe = recipe_of(options, start, file, seed)
                results = train(recipe, options.out / f"{start}{count}-seed{seed}")
                (row,) = results["networks"].values()
                by_start.setdefault((start, count), []).append(row["test_accuracy"])
    return by_start


def spread(values):
    """The standard deviation, 0 of a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def table(results):
    """The report: for each number of images, mean and standard deviation of both starts."""
    lines = ["| images of a class | from weights (%) | from scratch (%) |", "|---:|---:|---:|"]
    for count in sorted({count for _, count in results}):
        cells = [results[start, count] for start in STARTS]
        cells = [f"{statistics.mean(values):.2f} +- {spread(values):.2f}" for values in cells]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(results, path):
    """Draws the accuracy over the number of images."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for start in STARTS:
        rows = sorted((count, values) for (name, count), values in results.items() if name == start)
        counts, values = zip(*rows, strict=True)
        means, spreads = list(map(statistics.mean, values)), list(map(spread, values))
        axes.errorbar(counts, means, spreads, label=start, capsize=3)
    axes.set(xscale="log", xlabel="training images of a class", ylabel="held-out accuracy (%)")
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main(arguments=None):
    """Prints a line for each number of images; writes `report.md`, `curve.png`, `results.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--weights", default="cifar10", help="tag or file (default: cifar10)")
    parser.add_argument("--data", default="digits", help="the other task (default: digits)")
    parser.add_argument("--network", default="SEResNet20", help="default: SEResNet20")
    parser.add_argument("--size", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--per-class", type=int, nargs="+", default=[5, 10, 50], help="how many")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default: 3)")
    parser.add_argument("--set", action="append", default=[], help="change the recipe: KEY=VALUE")
    parser.add_argument("--smoke", action="store_true", help="two epochs of two steps")
    options = parser.parse_args(arguments)
    results = accuracies(options)
    plot(results, options.out / "curve.png")
    rows = [{"start": s, "per_class": n, "accuracies": v} for (s, n), v in results.items()]
    (options.out / "results.json").write_text(json.dumps(rows, indent=2) + "\n")
    (options.out / "report.md").write_text(table(results) + "\n\n![](curve.png)\n")
    print(table(results))


if __name__ == "__main__":
    main()
