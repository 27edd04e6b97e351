"""What do the gates say? Their spread over classes and over images, block by block.

The paper's section 7.2 finds that early gates are the same for every class and late ones are not.
This prints, for each SE block of a trained network, the mean gate and how much of the variance of a
gate over images is between classes, on the held-out digits.

python applications/excitations.py runs/digits/model.keras
"""

import argparse

import keras
import numpy as np

import keras_se
from keras_se import data


def gates(model, images):
    """The gates of every SE block: a mapping from its name to `(images, channels)`."""
    blocks = [one for one in model.layers if isinstance(one, keras_se.SqueezeExcite)]
    features = keras.Model(model.input, [one.input for one in blocks]).predict(images, verbose=0)
    features = features if len(blocks) > 1 else [features]
    return {
        block.name: keras.ops.convert_to_numpy(block.excitation(feature)).reshape(len(images), -1)
        for block, feature in zip(blocks, features, strict=True)
    }


def share_between_classes(values, labels):
    """The fraction of the variance of `values`, `(images, channels)`, that is between classes."""
    total = values.var(axis=0).mean()
    means = np.stack([values[labels == label].mean(axis=0) for label in labels])
    return float(means.var(axis=0).mean() / total) if total > 0 else 0.0


def main(arguments=None):
    """Prints a line for each block."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a .keras file that `keras-se train digits` wrote")
    model = keras.saving.load_model(parser.parse_args(arguments).model, compile=False)
    digits = data.load("digits")
    print(f"{'block':16} {'channels':>8} {'mean':>6} {'std':>6} {'between classes':>16}")
    for name, values in gates(model, digits.test_images).items():
        share = share_between_classes(values, digits.test_labels)
        print(
            f"{name:16} {values.shape[1]:8} {values.mean():6.3f} {values.std(axis=0).mean():6.3f} "
            f"{100 * share:14.1f} %"
        )


if __name__ == "__main__":
    main()
