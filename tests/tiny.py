"""A network that compiles in a second or two, for tests of training."""

import dataclasses

from keras_se.applications.application import Application
from keras_se.applications.bricks import activate, conv, norm
from keras_se.layers import SqueezeExcite
from keras_se.training import DIGITS


def trunk(x, se):
    """Two convolutions and one pair of gates."""
    x = norm(conv(x, 16, 3, strides=2, name="conv1"), "relu", name="bn1")
    x = norm(conv(x, 16, 3, name="conv2"), name="bn2")
    return activate(se(name="se")(x) if se else x, "relu", name="se")


SMALL = Application("SETiny", trunk, se=SqueezeExcite, size=32, smallest=4)


def small(**fields):
    """A recipe of the tiny network on fake images."""
    given = {"network": "SETiny", "data": "fake", "epochs": 2, "batch_size": 16, "augment": ()}
    return dataclasses.replace(DIGITS, about="A test.", **given | {"twin": False} | fields)
