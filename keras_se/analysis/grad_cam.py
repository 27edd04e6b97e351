"""Shows where in an image a network sees its class, by Grad-CAM."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_se.data_format import channel_axis, spatial_axes
from keras_se.graph.ancestors import Ancestors
from keras_se.graph.rewrite import inline
from keras_se.graph.walk import graph_of, graphs, is_graph, nodes, require_functional

# What turns scores into probabilities, which have no gradient where the network is sure.
PROBABILITIES = (keras.activations.softmax, keras.activations.sigmoid)
BATCH = 16


def grad_cam(
    model: keras.Model,
    images: Any,
    layer: str | keras.Layer | None = None,
    class_index: Any = None,
) -> np.ndarray:
    """Weighs the map of a layer by what each of its channels adds to the score of a class.

    The score is the class's logit: a softmax or sigmoid at the end is left out. The weight of a
    channel is the mean over space of the gradient of the score, and the result is the positive part
    of the weighted sum of the channels, divided by its largest value in each image.

    Args:
        model: Functional `keras.Model` of images with an output `(image, class)`; models in it are
            looked into.
        images: Preprocessed images as the model takes them, `(image, height, width, channel)`, or
            `(image, channel, height, width)` if Keras is set to channels first.
        layer: Name of the layer whose map is weighed, or the layer; by default the last that gives
            a map.
        class_index: The class, or one for each image; by default the predicted one.

    Returns:
        float32 array `(image, height, width)` from 0 to 1, at the size of the layer's map; all zero
        for an image where no pixel speaks for the class.

    Raises:
        ValueError: If an argument is not legal, or the layer gives no map or is called more than
            once.

    Example:
    >>> from keras_se.applications import SEResNet20
    >>> model = SEResNet20()
    >>> image = np.random.default_rng(0).normal(size=(1, 32, 32, 3))
    >>> grad_cam(model, image).shape
    (1, 8, 8)
    >>> grad_cam(model, image, layer="layer1_2_relu", class_index=3).shape
    (1, 32, 32)

    Reference:
        Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
        Localization", https://arxiv.org/abs/1610.02391, section 3.
    """
    return GradCam(model, layer)(images, class_index)


class GradCam:
    """Grad-CAM of one layer of a network that is prepared once, for many calls; see `grad_cam`.

    Args:
        model: As for `grad_cam`.
        layer: As for `grad_cam`.

    Raises:
        ValueError: If `model` is not functional, or the layer gives no map or is called more than
            once.
    """

    def __init__(self, model: keras.Model, layer: str | keras.Layer | None = None):
        require_functional(model)
        call = _last_map(model) if layer is None else _find(model, layer)
        if call is None:
            raise ValueError(
                f"`layer` must be named: {model.name!r} has no layer that gives a map."
            )
        self.model = model
        self._target, self._data_format = call
        # By the shape of an image.
        self._watched = {}

    def __call__(self, images: Any, class_index: Any = None) -> np.ndarray:
        """Returns the maps of images, as `grad_cam` does."""
        images = checked_images(self.model, images)
        classes = checked_classes(class_index, len(images), self.model)
        shape = images.shape[1:]
        if shape not in self._watched:
            watch = _Watch(name="watched_map")
            copy = logits_model(self.model, shape, self._target, watch)
            self._watched[shape] = copy, watch
        watched, watch = self._watched[shape]
        gradient = GRADIENTS[keras.backend.backend()]
        maps = []
        for start in range(0, len(images), BATCH):
            part = slice(start, start + BATCH)
            batch = ops.convert_to_tensor(images[part], dtype=self.model.inputs[0].dtype)
            chosen = None if classes is None else classes[part]
            values, gradients = gradient(watched, watch, batch, lambda y, c=chosen: _score(y, c))
            maps.append(_weighed(_float32(values), _float32(gradients), self._data_format))
        return np.concatenate(maps)


def _weighed(values, gradients, data_format):
    """The maps `(image, height, width)` from those of all channels and their gradients."""
    weights = gradients.mean(axis=spatial_axes(4, data_format), keepdims=True)
    maps = (weights * values).sum(axis=channel_axis(data_format)).clip(0)
    largest = maps.max(axis=(1, 2), keepdims=True)
    return np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)


def _score(outputs, classes):
    """The sum over images of the scores of their classes, or of the largest."""
    if classes is None:
        return ops.sum(ops.max(outputs, axis=1))
    return ops.sum(ops.take_along_axis(outputs, ops.convert_to_tensor(classes[:, None]), axis=1))


def checked_images(model: keras.Model, images: Any) -> np.ndarray:
    """Returns images as an array, if they are a batch for the model's one input.

    Raises:
        ValueError: If they are not.
    """
    images = ops.convert_to_numpy(images)
    shape = tuple(tensor.shape for tensor in model.inputs)
    fits = len(shape) == 1 and len(shape[0]) == images.ndim == 4 and len(images)
    if not fits or any(a not in (None, b) for a, b in zip(shape[0], images.shape, strict=True)):
        raise ValueError(
            "`images` must be a batch of images for a model of one input of images, which is "
            f"{shape}. Received: an array of the shape {images.shape}"
        )
    return images


def checked_classes(class_index: Any, count: int, model: keras.Model) -> np.ndarray | None:
    """Returns the class of each of `count` images as an array, or `None` for `None`.

    Raises:
        ValueError: If a class is not one of the model's, or its output is not `(image, class)`.
    """
    outputs = keras.tree.flatten(model.outputs)
    if len(outputs) != 1 or len(outputs[0].shape) != 2:
        shapes = [tuple(tensor.shape) for tensor in outputs]
        raise ValueError(f"`model` must have one output (image, class). Received: {shapes}")
    if class_index is None:
        return None
    indices = np.asarray(class_index)
    classes = outputs[0].shape[1]
    legal = indices.dtype.kind in "iu" and indices.shape in ((), (count,))
    if not legal or indices.min() < 0 or indices.max() >= classes:
        raise ValueError(
            f"`class_index` must be an integer from 0 to {classes - 1}, or one for each of the "
            f"{count} images. Received: class_index={class_index!r}"
        )
    return np.broadcast_to(indices, count).astype("int32")


def _last_map(model):
    """The last call in a model, or in a model in it, that gives a map; and its data format."""
    ancestors = Ancestors(model)
    for i in reversed(range(len(ancestors.nodes))):
        node = ancestors.nodes[i]
        inside = _last_map(node.operation) if is_graph(node.operation) else None
        if inside is not None:
            return inside
        if ancestors.maps[i] and len(ancestors.shape(i)) == 4 and not node.is_input:
            return node, ancestors.formats[i]
    return None


def _find(model, layer):
    """The only call of a layer, which gives a map; and its data format."""
    calls = []
    for graph in graphs(model):
        ancestors = Ancestors(graph)
        for i, node in enumerate(ancestors.nodes):
            if node.operation is layer or node.operation.name == layer:
                calls.append((ancestors, i))
    name = layer if isinstance(layer, str) else getattr(layer, "name", layer)
    if len(calls) != 1:
        often = f"is called {len(calls)} times" if calls else "is not there"
        raise ValueError(
            f"`layer` must be a layer of {model.name!r} that is called once, or its name. "
            f"Received: {name!r}, which {often}"
        )
    ancestors, i = calls[0]
    if len(ancestors.shape(i)) != 4 or is_graph(ancestors.nodes[i].operation):
        raise ValueError(
            f"`layer` must give one map, and be no model. Received: {name!r}, which gives the "
            f"shape {ancestors.shape(i)}"
        )
    return ancestors.nodes[i], ancestors.formats[i]


def logits_model(
    model: keras.Model, image_shape: tuple, target: Any = None, behind: Callable | None = None
) -> keras.Model:
    """Returns a flat copy of a model that gives logits: without a softmax or sigmoid at the end.

    Args:
        model: Functional `keras.Model` of images.
        image_shape: Shape of one image.
        target: A call of the model, as `keras_se.graph` knows them.
        behind: A layer that what the call gives goes through.
    """
    last = _last_call(model)

    def rule(node, copy):
        if target is not None and node is target:
            return lambda *args, **kwargs: behind(copy(*args, **kwargs))
        return _without_probabilities(node, copy) if node is last else None

    inputs = keras.Input(image_shape, dtype=model.inputs[0].dtype, name="images")
    return inline(model, inputs, inputs, rule)


def _last_call(model):
    """The call that gives a model's first output, in whatever model it is."""
    outputs = graph_of(model).outputs
    node = next(
        node for node in nodes(model) if any(tensor is outputs[0] for tensor in node.outputs)
    )
    return _last_call(node.operation) if is_graph(node.operation) else node


def _without_probabilities(node, copy):
    """What to call instead of the last layer so that it gives scores."""
    if type(node.operation).__name__ in ("Softmax", "Sigmoid"):
        return lambda x, **_: x
    if getattr(copy, "activation", None) in PROBABILITIES:
        copy.activation = keras.activations.linear
    return None


class _Watch(keras.layers.Layer):
    """Shows what goes through it to a function, whose result goes on.

    Attributes:
        show: The function.
    """

    show: Callable = staticmethod(lambda inputs: inputs)

    def call(self, inputs):
        return self.show(inputs)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def _tensorflow_gradient(model, watch, images, score):
    """The watched map and the gradient of the score, on TensorFlow."""
    import tensorflow

    seen = []
    with tensorflow.GradientTape(watch_accessed_variables=False) as tape:

        def show(inputs):
            tape.watch(inputs)
            seen.append(inputs)
            return inputs

        watch.show = show
        result = score(model(images, training=False))
    return seen[0], tape.gradient(result, seen[0])


def _jax_gradient(model, watch, images, score):
    """The watched map and the gradient of the score, on JAX."""
    import jax

    def function(offset):
        seen = []

        def show(inputs):
            seen.append(inputs)
            return inputs + offset

        watch.show = show
        return score(model(images, training=False)), seen[0]

    shape = (len(images), *watch.output.shape[1:])
    gradient, values = jax.grad(function, has_aux=True)(ops.zeros(shape, watch.output.dtype))
    return values, gradient


def _torch_gradient(model, watch, images, score):
    """The watched map and the gradient of the score, on PyTorch."""
    import torch

    seen = []

    def show(inputs):
        # What comes before needs no gradient.
        seen.append(inputs.detach().requires_grad_())
        return seen[0]

    watch.show = show
    with torch.enable_grad():
        result = score(model(images, training=False))
        return seen[0], torch.autograd.grad(result, seen[0])[0]


GRADIENTS = {
    "tensorflow": _tensorflow_gradient,
    "jax": _jax_gradient,
    "torch": _torch_gradient,
}


def _float32(tensor):
    return np.float32(ops.convert_to_numpy(ops.cast(ops.stop_gradient(tensor), "float32")))
