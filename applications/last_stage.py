"""Can a network do without the SE blocks of its last stage?

The paper says so of SE-ResNet-50: less than 0.1 points worse on ImageNet, while the SE blocks add
4 instead of 10 percent of parameters (section 4 of https://arxiv.org/abs/1709.01507). This takes
out the blocks of each stage in turn, with the mean gates of 512 held-out images in their place, and
counts what is lost on the other held-out images.

python applications/last_stage.py --data folder:cifar10
python applications/last_stage.py seresnet50 --data folder:imagenet/val
"""

import argparse

import numpy as np

from keras_se.analysis import paired_loss
from keras_se.analysis.prune import MEAN_IMAGES, preprocessed_images, right_images
from keras_se.applications import get_model
from keras_se.data import held_out_per_class, select_held_out
from keras_se.evaluation.evaluate import load_for
from keras_se.formatting import text_table
from keras_se.graph.complexity import trainable_parameters
from keras_se.graph.stages import stage_of
from keras_se.layers import SqueezeExcite
from keras_se.surgery import remove_se


def main(arguments=None):
    """Prints a line for each stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="?", default="seresnet20", help="a residual network")
    parser.add_argument("--weights", help="default: those of the network")
    parser.add_argument("--data", required=True, help="folder:PATH")
    parser.add_argument("--per-class", type=int, help="images of a class at most")
    options = parser.parse_args(arguments)
    application = get_model(options.network)
    model = application(weights=options.weights or application.default_weights)
    preprocessing = model.preprocessing
    dataset = load_for(options.data, preprocessing)
    if options.per_class:
        dataset = held_out_per_class(dataset, options.per_class)
    count = len(dataset.test_labels)
    few = np.unique(np.linspace(0, count - 1, min(MEAN_IMAGES, count // 2)).astype(int))
    images = preprocessed_images(select_held_out(dataset, few), preprocessing)
    others = select_held_out(dataset, np.setdiff1d(np.arange(count), few))
    plain = trainable_parameters(application(se=False, weights=None, classes=model.output_shape[1]))
    before = right_images(model, others, preprocessing)

    def cells(network):
        extra = trainable_parameters(network) / plain - 1
        lost = paired_loss(before, right_images(network, others, preprocessing))
        return str(lost), f"{100 * extra:.2f}"

    rows = [("without SE in", "points lost (95 %)", "parameters of SE, %")]
    rows.append(("no stage", *cells(model)))
    blocks = [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]
    for number in sorted({stage_of(block.name) for block in blocks} - {None}):
        stage = f"stage{number}"
        new, _ = remove_se(model, stage, images, verbose=False)
        rows.append((stage, *cells(new)))
    print(text_table(rows, "<>>"))
    print(f"{len(before)} images, top-1 {100 * before.mean():.2f} % before")


if __name__ == "__main__":
    main()
