"""Does SE help to tell scenes apart? SE-ResNet-152 and its plain twin on Places365.

python applications/places365.py --data places365:PATH --out runs/places365 [--set epochs=30]
    [--resume] [--smoke]

Prints the errors of both networks beside the paper's, which are for Places365-Challenge with its 8
million training images, of the 36,500 of `val`; places365_small has 1.8 million to train on.
"""

import argparse
from pathlib import Path

from keras_se.recipes import get_recipe, override, smoke
from keras_se.training import train

# Top-1 and top-5 errors in percent of table 6 of arXiv:1709.01507v4, with SE and without.
PAPER = ((40.37, 11.01), (41.15, 11.61))


def main(arguments=None):
    """Trains both, and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="places365:PATH (default: tfds:places365_small)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--set", action="append", default=[], help="change the recipe: KEY=VALUE")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument("--smoke", action="store_true", help="fake images and two epochs")
    options = parser.parse_args(arguments)
    recipe = get_recipe("places365")
    if options.smoke:
        recipe = smoke(recipe)
    elif options.data:
        recipe = override(recipe, [f"data={options.data}"])
    recipe = override(recipe, ["twin=true", *options.set])
    networks = train(recipe, options.out, resume=options.resume)["networks"]
    for (name, row), paper in zip(networks.items(), PAPER, strict=True):
        errors = f"{100 - row['test_accuracy']:.2f} / {100 - row['test_top5']:.2f} %"
        print(f"{name:12} top-1 / top-5 error {errors}, the paper {paper[0]} / {paper[1]} %")


if __name__ == "__main__":
    main()
