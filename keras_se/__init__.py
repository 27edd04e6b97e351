"""Squeeze-and-Excitation networks for Keras 3.

`keras_se.SqueezeExcite` is the block of the paper (https://arxiv.org/abs/1709.01507) as a layer,
`keras_se.applications` holds the networks, and `weights=` of their builders loads pretrained
checkpoints, checked name by name. Importing this package registers its layers with Keras, so that
`.keras` files load, and imports Keras and NumPy only; its other modules load on first use.
"""

import importlib
import sys
from types import ModuleType

from keras_se.version import __version__

# `python -m keras_se` imports this package before it can answer `--help`, which needs no Keras. It
# is at "-m" only until its module is found; `keras_se.cli.startup` then executes all of this.
if sys.argv[:1] != ["-m"] or sys.orig_argv[-len(sys.argv)] != "keras_se":
    from keras_se import applications, layers
    from keras_se.applications import get_model, list_models
    from keras_se.graph.complexity import complexity
    from keras_se.layers import EfficientChannelAttention, SqueezeExcite
    from keras_se.surgery import fold

__all__ = [
    "EfficientChannelAttention",
    "SqueezeExcite",
    "__version__",
    "applications",
    "complexity",
    "fold",
    "get_model",
    "layers",
    "list_models",
]

# Modules that are attributes of this package without having been imported.
_LAZY = (
    "analysis",
    "augmentation",
    "class_names",
    "data",
    "distribution",
    "evaluation",
    "explore",
    "export",
    "features",
    "graph",
    "prediction",
    "preprocessing",
    "recipes",
    "surgery",
    "training",
    "weights",
)


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    # The command asks for modules before the networks are there.
    networks = globals().get("applications")
    if networks is not None and name in networks.list_models():
        # An AttributeError would be replaced by Python's own message of imports.
        raise ImportError(f"Networks are in keras_se.applications: import {name} from there.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_LAZY])
