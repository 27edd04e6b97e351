"""Does SE help on CIFAR-10? A recipe and its plain twin, over several seeds.

python applications/cifar10.py --data tfds:cifar10 --out runs/cifar10 [--recipe cifar10-fast]
    [--seeds 3] [--set epochs=10] [--resume] [--smoke]
"""

import argparse
import json
import statistics
from pathlib import Path

from keras_se.recipes import get_recipe, override, smoke
from keras_se.training import train

# Errors in percent of the paper's table 4, with SE and without, by network.
PAPER = {
    "SEPreResNet110": (5.21, 6.37),
    "SEPreResNet164": (4.39, 5.46),
    "SEWideResNet16_8": (3.88, 4.27),
    "SEShakeShake26_2x96d": (2.12, 2.56),
}


def recipe_of(options, seed):
    """The recipe that the command line asks for, with its twin, for one seed."""
    recipe = get_recipe(options.recipe)
    if options.smoke:
        recipe = smoke(recipe)
    elif options.data:
        recipe = override(recipe, [f"data={options.data}"])
    return override(recipe, ["twin=true", *options.set, f"seed={seed}"])


def errors(options):
    """Trains both networks for each seed; gives their errors in percent, by name."""
    results = {}
    for seed in range(options.seeds):
        out = options.out / f"seed{seed}"
        complete = out / "results.json"
        if options.resume and complete.is_file():
            networks = json.loads(complete.read_text())["networks"]
        else:
            resume = options.resume and (out / "recipe.json").is_file()
            networks = train(recipe_of(options, seed), out, resume=resume)["networks"]
        for name, row in networks.items():
            results.setdefault(name, []).append(100 - row["test_accuracy"])
    return results


def line(name, values, paper):
    """A line of the table: mean and standard deviation of the errors, and the paper's."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    published = f"{paper:.2f} %" if paper else "-"
    return f"{name:24} {statistics.mean(values):6.2f} +- {spread:.2f} % {published:>10}"


def main(arguments=None):
    """Prints a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="such as folder:PATH (default: the recipe's)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--recipe", default="cifar10-fast", help="default: cifar10-fast")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default: 3)")
    parser.add_argument("--set", action="append", default=[], help="change the recipe: KEY=VALUE")
    parser.add_argument("--resume", action="store_true", help="go on with runs that were stopped")
    parser.add_argument("--smoke", action="store_true", help="fake images and two epochs")
    options = parser.parse_args(arguments)
    results = errors(options)
    paper = PAPER.get(get_recipe(options.recipe).network, (None, None))
    print(f"{'network':24} {'error':>16} {'the paper':>10}")
    for (name, values), published in zip(results.items(), paper, strict=True):
        print(line(name, values, published))


if __name__ == "__main__":
    main()
