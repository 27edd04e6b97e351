"""The network that is written: of any image size, folded, normalised."""

from dataclasses import dataclass

import keras

INPUT = "images"
SHORT = ("bfloat16", "float16")


@dataclass(frozen=True)
class InferenceModel:
    """A model and what is written in its place.

    Attributes:
        model: The model as it was given, in float32.
        flexible: The same weights behind an input `images`: of any size, or of the model's own if
            `fixed_size` or if the network allows no other.
        network: What is written: `any_size`, folded if asked, behind the normalisation if asked.
        preprocessing: The `Weights` whose normalisation `network` has, or `None`.
        folded: Whether `network` is folded.
        fixed_size: Whether `network` is for images of the size of `model` only.
    """

    model: keras.Model
    any_size: keras.Model
    network: keras.Model
    preprocessing: object
    folded: bool
    fixed_size: bool = False


def serve(model, *, fold, preprocessing, calibration=None, fixed_size=False):
    """Makes the `InferenceModel` of `model`, which is not changed.

    A model of mixed precision is served in float32, as its weights are: most runtimes know nothing
    else, and 16 bits are too few to tell rounding from a mistake.

    Args:
        model: As for `export_model`.
        fold: Whether to fold it.
        preprocessing: As for `export_model`.
        calibration: The images that will fix the ranges of 8-bit integers, or `None`.
        fixed_size: Whether to keep the size of its images.

    Returns:
        A `InferenceModel`.

    Raises:
        ValueError: If `model` is not functional, has not one input of images, or should keep a
            size that it does not have.
    """
    from keras_se.graph.rewrite import require_functional
    from keras_se.surgery import fold as folded_model

    require_functional(model)
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        shapes = [tuple(one.shape) for one in model.inputs]
        raise ValueError(f"`model` must have one input of images. Received: inputs of {shapes}")
    if fixed_size:
        _require_one_size(model)
    if any(layer.compute_dtype in SHORT for layer in model._flatten_layers()):
        model = _in_float32(model)
    any_size = _renamed(model) if fixed_size else _flexible(model)
    network = folded_model(any_size) if fold else any_size
    if calibration is not None:
        from keras_se.export.quantization import for_integers

        network = for_integers(network, _as_trained(calibration, preprocessing))
    if preprocessing is not None:
        network = _normalised(network, preprocessing)
    return InferenceModel(model, any_size, network, preprocessing, bool(fold), fixed_size)


def _require_one_size(model):
    """Raises a ValueError unless `model` and all models in it have images or maps of one size."""
    from keras_se.graph.rewrite import graphs

    for graph in graphs(model):
        for tensor in graph.inputs:
            if None in tensor.shape[1:]:
                raise ValueError(
                    "format='onnx_fixed' needs a model of one image size, built with its "
                    f"`input_shape`. Received: {graph.name!r} of {tuple(tensor.shape)}"
                )


def _in_float32(model):
    """A copy of `model` whose layers compute in float32."""

    def clone(layer):
        return type(layer).from_config(_with_float32(layer.get_config()))

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _with_float32(config):
    """A layer's config with the dtype policies of it and of the layers in it replaced."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return "float32"
        return {key: _with_float32(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_with_float32, config))
    return config


def _as_trained(images, preprocessing):
    """Images as the network itself takes them."""
    if preprocessing is None:
        return images
    from keras_se.preprocessing import preprocess_input

    return preprocess_input(images, preprocessing)


def _flexible(model):
    """`model` behind an input `images` of any size, or of its own if it can only do that."""
    shape = tuple(model.inputs[0].shape[1:])
    first = keras.config.image_data_format() == "channels_first"
    try:
        return _copy(model, (shape[0], None, None) if first else (None, None, shape[-1]))
    except ValueError:
        # A network that flattens its map has but one size, and some layers cannot be copied.
        return _renamed(model)


def _renamed(model):
    """`model` behind an input `images` of its own size."""
    images = keras.Input(tuple(model.inputs[0].shape[1:]), dtype=model.inputs[0].dtype, name=INPUT)
    return keras.Model(images, model(images), name=model.name)


def _copy(model, shape):
    images = keras.Input(shape, dtype=model.inputs[0].dtype, name=INPUT)
    copy = keras.models.clone_model(model, input_tensors=images)
    copy.set_weights(model.get_weights())
    return copy


def _normalised(network, preprocessing):
    """`network` of grey levels from 0 to 255."""
    from keras_se.preprocessing import normalization

    scale, offset = normalization(preprocessing)
    shape = tuple(network.inputs[0].shape[1:])
    if keras.config.image_data_format() == "channels_first":
        scale, offset = ([[[one]] for one in values] for values in (scale, offset))
    images = keras.Input(shape, dtype="uint8", name=INPUT)
    x = keras.layers.Rescaling(scale, offset, name="normalization")(images)
    return keras.Model(images, network(x), name=network.name)
