"""Small models with every kind of connection, for the tests of surgery."""

import keras
from keras import layers, ops
from random_statistics import images, randomized


def keep(node, copy):
    return None


def block(x, filters, name, strides=1):
    """A residual block of two convolutions."""
    y = layers.Conv2D(filters, 3, strides, "same", name=f"{name}_conv1")(x)
    y = layers.BatchNormalization(name=f"{name}_bn1")(y)
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = layers.Conv2D(filters, 3, 1, "same", use_bias=False, name=f"{name}_conv2")(y)
    y = layers.BatchNormalization(name=f"{name}_bn2")(y)
    skip = x
    if strides > 1:
        skip = layers.Conv2D(filters, 1, strides, name=f"{name}_skip")(x)
        skip = layers.BatchNormalization(name=f"{name}_skip_bn")(skip)
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([skip, y]))


def backbone(name="backbone"):
    inputs = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = block(block(x, 8, "b1"), 16, "b2", strides=2)
    return randomized(keras.Model(inputs, x, name=name))


class Stateful(layers.Layer):
    """A layer whose config does not say what it was made with."""

    def __init__(self, initial):
        super().__init__()
        self.factor = self.add_weight(shape=(), name="factor")
        self.factor.assign(initial[0])

    def call(self, inputs):
        return inputs * self.factor


@keras.saving.register_keras_serializable()
class ConfigNamesMore(layers.Dense):
    """A layer whose config has what is no argument of it."""

    def get_config(self):
        return super().get_config() | {"number": self.units}


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


class Tripled(keras.Model):
    """A functional model that does more than its graph."""

    def call(self, inputs, training=None, mask=None):
        return 3 * super().call(inputs, training=training)


def everything():
    """Shared layers and models, two inputs, a dictionary of outputs, operations, a Lambda."""
    left = keras.Input((16, 16, 3), name="left")
    right = keras.Input((16, 16, 3), name="right")
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    inner = backbone("inner")
    first, second = (inner(shared(x)) for x in (left, right))
    halves = ops.split(ops.concatenate([first, second * 0.5 + 1.0], axis=-1), 2, axis=-1)
    tokens = layers.Reshape((64, 16), name="tokens")(halves[0] - halves[1])
    attended = layers.MultiHeadAttention(2, 4, name="attention")(query=tokens, value=tokens)
    doubled = layers.Lambda(lambda x: 2 * x, name="doubled")(attended)
    sequence, state = layers.SimpleRNN(5, return_sequences=True, return_state=True, name="rnn")(
        doubled
    )
    normal = layers.BatchNormalization(name="batch_statistics")(sequence, training=True)
    model = keras.Model({"left": left, "right": right}, {"state": state, "deep": [normal]})
    return randomized(model)


def two_images():
    return {"left": images(2, 16, 16, 3), "right": images(2, 16, 16, 3, seed=2)}
