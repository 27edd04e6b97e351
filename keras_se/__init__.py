"""Squeeze-and-Excitation networks for Keras 3.

`keras_se.SqueezeExcite` is the block of the paper (https://arxiv.org/abs/1709.01507) as a layer,
`keras_se.applications` holds the networks, and `weights=` of their builders loads pretrained
checkpoints, checked name by name. Importing this package imports Keras and NumPy only.
"""

from keras_se import applications
from keras_se.graph.complexity import complexity
from keras_se.layers import SqueezeExcite
from keras_se.surgery import fold

__version__ = "0.1.0"

__all__ = ["SqueezeExcite", "__version__", "applications", "complexity", "fold"]
