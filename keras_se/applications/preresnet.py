"""SE-PreResNet for ImageNet, with batch norm and activation before each convolution.

He et al., https://arxiv.org/abs/1603.05027; layer by layer as in https://github.com/osmr/imgclsmob:
batch norm in the stem and before the head, the stride on the 3x3 convolution of a bottleneck, gates
at the end of the residual branch. The networks for small images are in `cifar.py`.

`placement` and `stages` put the gates elsewhere; see `resnet.py`.
"""

from keras_se.applications.bricks import max_pool_positive, norm
from keras_se.applications.cifar import preactivated_stages
from keras_se.applications.resnet import FILTERS, gates, residual_stem


def preresnet(x, se, *, depths, block, placement="standard", stages=None):
    """The four stages of a pre-activated residual network after its stem."""
    x = max_pool_positive(residual_stem(x, FILTERS[0]), name="maxpool")
    gate = gates(se, placement, stages, count=len(depths))
    x = preactivated_stages(x, gate, depths, FILTERS, block)
    return norm(x, "relu", name="norm")
