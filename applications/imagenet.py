"""How near does a training on ImageNet come to the published accuracy?

python applications/imagenet.py --data tfds:imagenet2012 --out runs/imagenet [--recipe imagenet]
    [--set batch_size=128] [--resume] [--smoke]

Prints the accuracy of the network beside the paper's, which is of the same kind: one crop of 224
pixels from a short side of 256, of the 50,000 validation images.
"""

import argparse
from pathlib import Path

from keras_se.recipes import get_recipe, override, smoke
from keras_se.training import train

# Top-1 accuracy in percent and where it stands, by recipe.
PUBLISHED = {
    "imagenet": (76.71, "arXiv:1709.01507, table 2"),
    "imagenet-270": (77.80, "arXiv:1709.01507v4, footnote 2"),
    "imagenet-senet154": (81.32, "arXiv:1709.01507v4, table 8"),
    "imagenet-mobilenet": (74.7, "arXiv:1709.01507v4, table 3"),
    "imagenet-a1": (80.01, "timm, seresnet50.a1_in1k"),
    "imagenet-a2": (80.10, "timm, seresnet50.a2_in1k"),
    "imagenet-a3": (75.10, "timm, seresnet50.a3_in1k at 160 pixels"),
    "imagenet-rs": (78.8, "arXiv:2103.07579, ResNet-RS-50 at 160 pixels"),
}


def main(arguments=None):
    """Trains, and prints one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="such as folder:PATH (default: the recipe's)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--recipe", default="imagenet", choices=PUBLISHED, help="its name")
    parser.add_argument("--set", action="append", default=[], help="change the recipe: KEY=VALUE")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument("--smoke", action="store_true", help="fake images and two epochs")
    options = parser.parse_args(arguments)
    recipe = get_recipe(options.recipe)
    if options.smoke:
        recipe = smoke(recipe)
    elif options.data:
        recipe = override(recipe, [f"data={options.data}"])
    results = train(override(recipe, options.set), options.out, resume=options.resume)
    accuracy = next(iter(results["networks"].values()))["test_accuracy"]
    published, source = PUBLISHED[options.recipe]
    print(f"top-1 {accuracy:.2f} %, published {published:.2f} % ({source})")


if __name__ == "__main__":
    main()
