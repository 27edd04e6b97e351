"""Every layer that keras_se registers with Keras, so that `.keras` files load."""

from keras_se.layers.channel_shuffle import ChannelShuffle
from keras_se.layers.efficient_channel_attention import EfficientChannelAttention
from keras_se.layers.hard_swish_product import HardSwishProduct
from keras_se.layers.pool_to_minimum_size import PoolToMinimumSize
from keras_se.layers.shake_shake import ShakeShake
from keras_se.layers.squeeze_excite import SqueezeExcite

__all__ = [
    "ChannelShuffle",
    "EfficientChannelAttention",
    "HardSwishProduct",
    "PoolToMinimumSize",
    "ShakeShake",
    "SqueezeExcite",
]
