"""A network that compiles in a second or two, for tests of training."""

import dataclasses

from keras_se.applications.application import Application
from keras_se.applications.bricks import add, conv, norm
from keras_se.layers import SqueezeExcite
from keras_se.recipes import DIGITS


def trunk(x, se):
    """Two convolutions, the second in a residual block with one pair of gates."""
    x = norm(conv(x, 16, 3, strides=2, name="conv1"), "relu", name="bn1")
    residual = norm(conv(x, 16, 3, name="conv2"), name="bn2")
    return add(se(name="se")(residual) if se else residual, x, name="block")


SMALL = Application("SETiny", trunk, se=SqueezeExcite, size=32, min_size=4)


def small(**fields):
    """A recipe of the tiny network on fake images."""
    given = {"network": "SETiny", "data": "fake", "epochs": 2, "batch_size": 16, "augment": ()}
    return dataclasses.replace(DIGITS, about="A test.", **given | {"twin": False} | fields)
