"""Writes models for serving, each verified after writing against the Keras model."""

import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np

# Largest accepted difference, as a fraction of the largest output: what another order of float32
# sums may cost in the deepest network, and far below what any real difference does.
TOLERANCE = 1e-4


def export_saved_model(model, directory, *, preprocessing=None, overwrite=False):
    """Writes a TensorFlow SavedModel and runs it against `model`.

    The signature `serving_default` takes any number of images, of any size if `model` can.

    Args:
        model: Functional Keras model of one image input.
        directory: Where to write it; made when the export is complete and verified.
        preprocessing: A `keras_se.weights.Weights` whose normalisation is baked in: the SavedModel
            then takes `uint8` images of values 0 to 255, resized by the caller. `None` for none.
        overwrite: Whether to replace what is in `directory`.

    Returns:
        The largest absolute difference found between the outputs of the two.

    Raises:
        ValueError: If the backend is not TensorFlow, or the written model gives other outputs.
        OSError: If `directory` is there already, or cannot be written.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Exporting a SavedModel needs the TensorFlow backend: set KERAS_BACKEND=tensorflow "
            "and load the model there. Received: the backend " + keras.backend.backend()
        )
    directory = Path(directory)
    if directory.exists() and not overwrite and (directory.is_file() or any(directory.iterdir())):
        raise FileExistsError(f"{str(directory)!r} is there already and not an empty folder.")
    served = _served(model, preprocessing)
    directory.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the finished export can be renamed into place.
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as folder:
        written = Path(folder) / "model"
        served.export(written, format="tf_saved_model", verbose=False)
        difference = _verify(served, written)
        if directory.is_dir():
            shutil.rmtree(directory)
        elif directory.exists():
            directory.unlink()
        written.rename(directory)
    return difference


def _served(model, preprocessing):
    """The model of `model`'s weights with inputs of any size, normalised if asked."""
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        shapes = [tuple(one.shape) for one in model.inputs]
        raise ValueError(f"`model` must have one input of images. Received: inputs of {shapes}")
    shape = tuple(model.inputs[0].shape[1:])
    first = keras.config.image_data_format() == "channels_first"
    flexible = (shape[0], None, None) if first else (None, None, shape[-1])
    try:
        network = _copy(model, flexible)
    except ValueError:
        # A network that flattens its map has but one size.
        network, flexible = model, shape
    if preprocessing is None:
        return network
    from keras_se.preprocess import normalization

    scale, offset = normalization(preprocessing)
    images = keras.Input(flexible, dtype="uint8", name="images")
    x = keras.layers.Rescaling(scale, offset, name="normalization")(images)
    return keras.Model(images, network(x), name=model.name)


def _copy(model, shape):
    dtype = model.inputs[0].dtype
    copy = keras.models.clone_model(model, input_tensors=keras.Input(shape, dtype=dtype))
    copy.set_weights(model.get_weights())
    return copy


def _verify(model, written):
    """Compares the SavedModel with `model` on two batches; gives the largest difference."""
    import tensorflow as tf

    serve = tf.saved_model.load(str(written)).signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    random = np.random.default_rng(0)
    worst = 0.0
    for batch, size in ((1, (64, 64)), (3, (97, 75))):
        shape = tuple(model.inputs[0].shape[1:])
        sides = iter(size)
        shape = (batch, *(next(sides) if side is None else side for side in shape))
        images = random.integers(0, 256, shape).astype(model.inputs[0].dtype)
        expected = [np.array(one) for one in keras.tree.flatten(model(images, training=False))]
        results = serve(**{name: tf.constant(images)})
        for one, (_, result) in zip(expected, sorted(results.items()), strict=True):
            difference = float(np.abs(one - result.numpy()).max())
            if not difference <= TOLERANCE * max(float(np.abs(one).max()), 1e-6):
                raise ValueError(
                    f"The written SavedModel differs from the Keras model by {difference:g} on "
                    f"images of shape {shape}; nothing was kept."
                )
            worst = max(worst, difference)
    return worst
