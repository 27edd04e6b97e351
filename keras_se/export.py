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
        overwrite: Whether to replace the SavedModel that is in `directory`.

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
    directory = Path(directory).resolve()
    _refuse_to_lose(directory, overwrite)
    served = _served(model, preprocessing)
    directory.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the finished export can be renamed into place.
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as folder:
        written = Path(folder) / "model"
        served.export(written, format="tf_saved_model", verbose=False)
        difference = _verify(model, served, preprocessing, written)
        if directory.exists():
            shutil.rmtree(directory)
        written.rename(directory)
    return difference


def _refuse_to_lose(directory, overwrite):
    """Raises if writing `directory` would remove anything but a SavedModel to be replaced."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    if not overwrite:
        raise FileExistsError(f"{str(directory)!r} is there already and not an empty folder.")
    if not (directory / "saved_model.pb").is_file():
        raise FileExistsError(f"{str(directory)!r} is not a SavedModel, so it is not replaced.")


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


def _verify(model, served, preprocessing, written):
    """Runs the SavedModel against `model` on two batches; gives the largest difference.

    Another size than `model` takes can be compared with its copy of any size only.
    """
    import tensorflow as tf

    serve = tf.saved_model.load(str(written)).signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    worst = 0.0
    for reference, batch, size in ((model, 1, (64, 64)), (served, 3, (97, 75))):
        images = _images(reference, batch, size, unsigned=preprocessing is not None)
        expected = _outputs(reference, images, preprocessing if reference is model else None)
        results = serve(**{name: tf.constant(images)})
        for one, (_, result) in zip(expected, sorted(results.items()), strict=True):
            difference = float(np.abs(one - result.numpy()).max())
            if not difference <= TOLERANCE * max(float(np.abs(one).max()), 1e-6):
                raise ValueError(
                    f"The written SavedModel differs from the Keras model by {difference:g} on "
                    f"images of shape {images.shape}; nothing was kept."
                )
            worst = max(worst, difference)
    return worst


def _images(model, batch, size, *, unsigned):
    """Random images: grey levels, or normalised values as networks are trained on."""
    sides = iter(size)
    shape = (next(sides) if side is None else side for side in model.inputs[0].shape[1:])
    random = np.random.default_rng(0)
    if unsigned:
        return random.integers(0, 256, (batch, *shape)).astype("uint8")
    return random.standard_normal((batch, *shape)).astype(model.inputs[0].dtype)


def _outputs(model, images, preprocessing):
    if preprocessing is not None:
        from keras_se.preprocess import preprocess_input

        images = preprocess_input(images, preprocessing)
    outputs = keras.tree.flatten(model(images, training=False))
    return [keras.ops.convert_to_numpy(one) for one in outputs]
