"""Does SE help on handwritten digits? The digits recipe and its plain twin, over several seeds.

python applications/digits_seeds.py --out runs/seeds [--seeds 5] [--set epochs=3]
"""

import argparse
import statistics
from pathlib import Path

from keras_se.recipes import get_recipe
from keras_se.recipes.recipe import override
from keras_se.training.loop import train


def accuracies(out, seeds, assignments):
    """Trains both networks once for each seed; gives their test accuracies, in percent."""
    results = {}
    for seed in range(seeds):
        recipe = override(get_recipe("digits"), [*assignments, f"seed={seed}"])
        networks = train(recipe, out / f"seed{seed}", overwrite=True)["networks"]
        for name, row in networks.items():
            results.setdefault(name, []).append(row["test_accuracy"])
    return results


def main(arguments=None):
    """Prints a line for each network: mean, standard deviation and worst of the seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds (default: 5)")
    parser.add_argument("--set", action="append", default=[], help="change the recipe: KEY=VALUE")
    options = parser.parse_args(arguments)
    for name, values in accuracies(options.out, options.seeds, options.set).items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(
            f"{name:12} test accuracy {statistics.mean(values):.2f} +- {spread:.2f} %, "
            f"worst {min(values):.2f} %, {len(values)} seeds"
        )


if __name__ == "__main__":
    main()
