"""The network that is written: of any image size, folded, normalized."""

import logging
from dataclasses import dataclass

import keras

from keras_se.data_format import channel_axis, image_shape
from keras_se.export.verify import SIZES, outputs, random_images
from keras_se.graph.rewrite import inline
from keras_se.graph.walk import layers_within, require_functional
from keras_se.surgery import fold as folded

LOG = logging.getLogger("keras_se")
INPUT = "images"
OTHER_FLOATS = ("bfloat16", "float16", "float64")
# What changes its input in training only. By exact type: a subclass may compute anything. Keras's
# RandomCrop is not among them, since at inference it resizes.
TRAINING_ONLY = {
    getattr(keras.layers, name)
    for name in (
        *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"),
        *("Identity", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
        *("AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness"),
        *("RandomColorDegeneration", "RandomColorJitter", "RandomContrast"),
        *("RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur"),
        *("RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective"),
        *("RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness"),
        *("RandomShear", "RandomTranslation", "RandomZoom"),
    )
}


@dataclass(frozen=True)
class InferenceModel:
    """A model and what is written in its place.

    Attributes:
        model: The model of the user, in float32.
        any_size: The same weights behind an input `images` of any size, or of the model's own if
            `fixed_size` or if the network takes no other; without what is for training only.
        network: What is written: `any_size`, folded if asked, behind the normalization if asked.
        preprocessing: The `Preprocessing` whose normalization `network` has, or `None`.
        folded: Whether `network` is folded.
        fixed_size: Whether `network` is for images of the size of `model` only.
        translated: `network` as an `onnx.ModelProto`, for formats that are made of one.
    """

    model: keras.Model
    any_size: keras.Model
    network: keras.Model
    preprocessing: object
    folded: bool
    fixed_size: bool = False
    translated: object = None


def make_inference_model(
    model, *, fold, preprocessing, calibration=None, fixed_size=False
) -> InferenceModel:
    """Prepares `model`, which is not changed, for inference elsewhere.

    A model of mixed precision computes in float32 then, as its weights are: most runtimes know
    nothing else, and 16 bits are too few to tell rounding from a mistake. So does one of float64,
    whose convolutions neither ONNX Runtime nor LiteRT have.

    Args:
        model: As for `export_model`.
        fold: Whether to fold it.
        preprocessing: As for `export_model`.
        calibration: The images that will fix the ranges of 8-bit integers, if the network is to be
            rewritten for them, or `None`.
        fixed_size: Whether to keep the size of its images.

    Returns:
        An `InferenceModel`.

    Raises:
        ValueError: If `model` is not functional, has not one input of images, or should keep a
            size that it does not have.
    """
    require_functional(model)
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        shapes = [tuple(tensor.shape) for tensor in model.inputs]
        raise ValueError(f"`model` must have one input of images. Received: inputs of {shapes}")
    if fixed_size and None in model.inputs[0].shape[1:]:
        raise ValueError(
            "format='onnx_fixed' needs a model of one image size, built with its `input_shape`. "
            f"Received: {model.name!r} of {tuple(model.inputs[0].shape)}"
        )
    if any(layer.compute_dtype in OTHER_FLOATS for layer in layers_within(model)):
        model = _in_float32(model)
    any_size = of_own_size(model) if fixed_size else _of_any_size(model)
    _warn_of_left_out(model)
    network = folded(any_size) if fold else any_size
    if calibration is not None:
        from keras_se.export.quantization import for_integers

        network = for_integers(network, _as_trained(calibration, preprocessing))
    if preprocessing is not None:
        network = _normalized(network, preprocessing)
    return InferenceModel(model, any_size, network, preprocessing, bool(fold), fixed_size)


def _of_any_size(model):
    """`model` behind an input `images` of any size, or of its own if it takes no other."""
    channels = model.inputs[0].shape[channel_axis()]
    try:
        network = _behind(model, image_shape(None, None, channels))
        # Not all layers say when they are built that a size does not fit.
        outputs(network, random_images(network, *SIZES[1]))
    except Exception as error:  # code of any layer runs here and may fail in any way
        LOG.info("%s is exported for images of its own size: %s", model.name, error)
        return of_own_size(model)
    return network


def of_own_size(model: keras.Model, shape: tuple | None = None) -> keras.Model:
    """Puts a model behind an input `images` of its own shape, or another, without the batch."""
    return _behind(model, tuple(shape or model.inputs[0].shape[1:]))


def _behind(model, shape):
    """`model` behind an input `images`, without what is for training only."""

    def rule(node, copy):
        layer = node.operation
        # Even if it is called with training=True, which is the default of Keras's random layers.
        if type(layer) not in TRAINING_ONLY:
            return None
        if node.input_tensors[0].dtype == node.outputs[0].dtype:
            return lambda x, **_: x
        # Integers become floats, as in the layer.
        return keras.layers.Rescaling(1.0, dtype=layer.dtype_policy, name=copy.name)

    images = keras.Input(shape, dtype=model.inputs[0].dtype, name=INPUT)
    return inline(model, images, images, rule)


def _warn_of_left_out(model):
    """Names the layers that are left out, but those that change nothing in training either."""
    layers = [layer for layer in layers_within(model) if type(layer) in TRAINING_ONLY]
    names = [
        f"{layer.name} ({type(layer).__name__})"
        for layer in layers
        # Nobody expects these to do anything in inference.
        if type(layer) not in (keras.layers.Identity, keras.layers.Dropout)
    ]
    if names:
        LOG.warning("Left out of the export, being for training only: %s", ", ".join(names))


def _in_float32(model):
    """A copy of `model` whose layers compute in float32."""

    def clone(layer):
        return type(layer).from_config(_with_float32(layer.get_config()))

    (tensor,) = model.inputs
    dtype = "float32" if tensor.dtype == "float64" else tensor.dtype
    images = keras.Input(batch_shape=tensor.shape, dtype=dtype, name=tensor.name)
    inputs = keras.tree.pack_sequence_as(model.input, [images])
    copy = keras.models.clone_model(model, inputs, clone_function=clone, recursive=True)
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
    return preprocessing.normalize(images)


def _normalized(network, preprocessing):
    """`network` of values from 0 to 255."""
    images = keras.Input(tuple(network.inputs[0].shape[1:]), dtype="uint8", name=INPUT)
    return inline(network, images, preprocessing.rescaling()(images), lambda node, copy: None)
