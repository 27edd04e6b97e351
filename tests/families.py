"""Networks of the blocks of every family, as few as there can be."""

from functools import partial
from unittest.mock import patch

import numpy as np
from generated import tensor

from keras_se import applications as zoo
from keras_se.applications import cifar
from keras_se.applications.application import Application
from keras_se.applications.resnet import basic, bottleneck, resnet
from keras_se.applications.vgg import vgg_head
from keras_se.weights import export_state_dict, load_state_dict

CLASSES = tuple("abcde")
SHALLOW = (1, 1, 1, 1)


def narrow_resnet(x, se, **arguments):
    """The trunk of ResNets with a quarter of their filters."""
    with patch.dict(resnet.__globals__, FILTERS=(16, 32, 64, 128)):
        return resnet(x, se, **arguments)


PRE = cifar.preactivated_basic
RESNET = partial(Application, trunk=narrow_resnet, depths=SHALLOW)
V1 = ((1, 64, 1), (2, 128, 2), (2, 256, 1))
V2 = ((1, 16, (1,)), (2, 24, (6, 6)), (2, 32, (6,)))
HEAD = partial(vgg_head, hidden=32)
CIFAR = partial(Application, se=zoo.PAPER_SE, size=32, min_size=4)


def shallow(row, **arguments):
    """A row of the zoo with less of the same blocks."""
    return Application(**row.fields | {"name": f"{row.name}Shallow"} | arguments)


# Least size in pixels, and the network: blocks of every family, as few as there can be.
# fmt: off
NETWORKS = {
    "resnet_aa": (32, RESNET("SEA", block=basic, **zoo.AA)),
    "resnext_t": (32, RESNET("SEB", block=bottleneck, groups=8, width=16, **zoo.T)),
    "resnet_ts": (32, shallow(zoo.SEResNeXt26TS, depths=SHALLOW, filters=4 * (64,), group_width=8)),
    "legacy": (32, shallow(zoo.LegacySEResNet18, depths=SHALLOW, block=zoo.LX4)),
    "cifar": (16, CIFAR("SEC", cifar.cifar_resnet, depth=8)),
    "preactivated": (16, CIFAR("SED", cifar.cifar_preresnet, depth=8, block=PRE)),
    "wide": (16, CIFAR("SEE", cifar.wide_resnet, depth=10, widen=2)),
    "shake_shake": (16, CIFAR("SEF", cifar.shake_shake, depth=8, width=16)),
    "shake_even": (16, CIFAR("SEG", cifar.shake_even, depth=11, groups=2)),
    "inception_resnet": (75, shallow(zoo.SEInceptionResNetV2, depths=(1, 1, 1))),
    "inception": (75, zoo.SEInceptionV3),
    "bn_inception": (32, zoo.SEBNInception),
    "mobilenet": (32, shallow(zoo.SEMobileNet, stages=V1, alpha=0.25)),
    "mobilenet_v2": (32, shallow(zoo.SEMobileNetV2, stages=V2, alpha=0.35)),
    "mobilenet_v3": (32, zoo.MobileNetV3Small_050),
    "shufflenet": (32, shallow(zoo.SEShuffleNet, depths=(2, 2, 2), scale=0.5)),
    "vgg": (32, shallow(zoo.SEVGG11, stages=((16,), (16,), (32,), (32,), (32,)), head=HEAD)),
    "densenet": (32, shallow(zoo.SEDenseNet121, depths=(2, 2, 2, 2))),
}
# fmt: on


def build(name, side=None, activation=None):
    """One of `NETWORKS` with generated weights, for squares of `side` pixels or any images."""
    row = NETWORKS[name][1]
    options = {"weights": None, "classes": len(CLASSES), "classifier_activation": activation}
    network = row(input_shape=(side, side, 3), **options)
    state = {key: _tensor(key, one.shape) for key, one in export_state_dict(network).items()}
    load_state_dict(network, state)
    return network


def _tensor(key, shape):
    # Gates that are mostly open: through a dozen that are half closed nothing would be seen.
    opened = 3.0 if key.endswith(("se.fc2.bias", "se.conv_expand.bias")) else 0.0
    return tensor(key, shape) + np.float32(opened)
