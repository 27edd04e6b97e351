"""The network that is written: of any image size, folded, normalised."""

from dataclasses import dataclass

import keras

INPUT = "images"


@dataclass(frozen=True)
class Served:
    """A model and what is written in its place.

    Attributes:
        model: The model as it was given.
        flexible: The same weights behind an input of any size, if the network can.
        network: What is written: `flexible`, folded if asked, behind the normalisation if asked.
        preprocessing: The `Weights` whose normalisation `network` has, or `None`.
        folded: Whether `network` is folded.
    """

    model: keras.Model
    flexible: keras.Model
    network: keras.Model
    preprocessing: object
    folded: bool


def serve(model, *, fold, preprocessing, calibration=None):
    """Makes the `Served` of `model`, which is not changed.

    Args:
        model: As for `export_model`.
        fold: Whether to fold it.
        preprocessing: As for `export_model`.
        calibration: The images that will fix the ranges of 8-bit integers, or `None`.

    Returns:
        A `Served`.

    Raises:
        ValueError: If `model` is not functional, has not one input of images, or is to be folded
            and computes in half precision.
    """
    from keras_se.surgery import fold as folded_model
    from keras_se.surgery.rewrite import require_functional

    require_functional(model)
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        shapes = [tuple(one.shape) for one in model.inputs]
        raise ValueError(f"`model` must have one input of images. Received: inputs of {shapes}")
    half = next((one for one in model.layers if "16" in one.compute_dtype), None)
    if fold and half is not None:
        raise ValueError(
            f"`fold` must be False for {model.name}: its layer {half.name!r} computes in "
            f"{half.compute_dtype}, in which a folded network is not the same. Received: fold=True"
        )
    flexible = _flexible(model)
    network = folded_model(flexible) if fold else flexible
    if calibration is not None:
        from keras_se.export.ranges import with_ranges

        network = with_ranges(network, _as_trained(calibration, preprocessing))
    if preprocessing is not None:
        network = _normalised(network, preprocessing)
    return Served(model, flexible, network, preprocessing, bool(fold))


def _as_trained(images, preprocessing):
    """Images as the network itself takes them."""
    if preprocessing is None:
        return images
    from keras_se.preprocess import preprocess_input

    return preprocess_input(images, preprocessing)


def _flexible(model):
    """`model` behind an input `images` of any size, or of its own if it can only do that."""
    shape = tuple(model.inputs[0].shape[1:])
    first = keras.config.image_data_format() == "channels_first"
    try:
        return _copy(model, (shape[0], None, None) if first else (None, None, shape[-1]))
    except ValueError:
        # A network that flattens its map has but one size, and some layers cannot be copied.
        images = keras.Input(shape, dtype=model.inputs[0].dtype, name=INPUT)
        return keras.Model(images, model(images), name=model.name)


def _copy(model, shape):
    images = keras.Input(shape, dtype=model.inputs[0].dtype, name=INPUT)
    copy = keras.models.clone_model(model, input_tensors=images)
    copy.set_weights(model.get_weights())
    return copy


def _normalised(network, preprocessing):
    """`network` of grey levels from 0 to 255."""
    from keras_se.preprocess import normalization

    scale, offset = normalization(preprocessing)
    shape = tuple(network.inputs[0].shape[1:])
    if keras.config.image_data_format() == "channels_first":
        scale, offset = ([[[one]] for one in values] for values in (scale, offset))
    images = keras.Input(shape, dtype="uint8", name=INPUT)
    x = keras.layers.Rescaling(scale, offset, name="normalization")(images)
    return keras.Model(images, network(x), name=network.name)
