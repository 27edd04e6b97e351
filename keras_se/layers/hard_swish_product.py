"""Hard swish as LiteRT is fast with in 8-bit integers."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_se")
class HardSwishProduct(keras.layers.Layer):
    """Hard swish as a product and a sum: `relu6(x + 3) * (x / 6)`.

    LiteRT's own operator of 8-bit integers is not among those that XNNPACK runs: each of the 21 in
    MobileNet-v3 cuts the graph in two and runs by itself, slowly.
    """

    def call(self, inputs: Any) -> Any:
        """Applies it to a tensor of any shape."""
        # In the other order LiteRT rounds twice as much.
        return ops.relu6(inputs + 3) * (inputs * (1 / 6))
