"""VGG-11, 13, 16 and 19 with batch normalization, as timm has them.

Simonyan and Zisserman, https://arxiv.org/abs/1409.1556. SE follows the ReLU of every convolution:
Hu et al., https://arxiv.org/abs/1709.01507, section 3.3. The dense layers of 4096 units are
convolutions, so that images of any size will do.
"""

from keras import layers

from keras_se.applications.bricks import activate, classifier, conv, norm
from keras_se.data_format import spatial_shape
from keras_se.layers import PoolToMinimumSize

# The filters of the convolutions of each stage: configurations A, B, D and E of the paper.
VGG11 = ((64,), (128,), 2 * (256,), 2 * (512,), 2 * (512,))
VGG13 = (2 * (64,), 2 * (128,), 2 * (256,), 2 * (512,), 2 * (512,))
VGG16 = (2 * (64,), 2 * (128,), 3 * (256,), 3 * (512,), 3 * (512,))
VGG19 = (2 * (64,), 2 * (128,), 4 * (256,), 4 * (512,), 4 * (512,))

# Pixels: what the first dense layer sees of a map, that of a 224x224 image.
MAP_SIZE = 7


def vgg(x, se, *, stages):
    """Stages of 3x3 convolutions with `se` after each, all stages halving the map at their end."""
    # timm numbers convolution, batch norm, ReLU and pooling in one row.
    index = 0
    for stage in stages:
        for filters in stage:
            x = conv(x, filters, 3, use_bias=True, name=f"features_{index}")
            x = norm(x, "relu", name=f"features_{index + 1}")
            x = se(name=f"features_{index}_se")(x) if se else x
            index += 3
        x = layers.MaxPooling2D(2, name=f"features_{index}_pool")(x)
        index += 1
    return x


def vgg_head(x, classes, activation, *, hidden=4096, dropout=0.0, name="head_fc"):
    """The two dense layers of `hidden` units as convolutions, pooling, and the classifier."""
    if not all(side is not None and side >= MAP_SIZE for side in spatial_shape(x.shape)):
        x = PoolToMinimumSize(MAP_SIZE, name="pre__logits_enlarge")(x)
    x = conv(x, hidden, MAP_SIZE, padding="valid", use_bias=True, name="pre__logits_fc1")
    x = activate(x, "relu", name="pre__logits_fc1")
    if dropout:
        x = layers.Dropout(dropout, name="pre__logits_dropout")(x)
    x = activate(
        conv(x, hidden, 1, use_bias=True, name="pre__logits_fc2"), "relu", name="pre__logits_fc2"
    )
    return classifier(x, classes, activation, dropout=dropout, name=name)
