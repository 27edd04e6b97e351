"""Exports that TensorFlow writes: SavedModel and LiteRT."""

from pathlib import Path

import numpy as np

from keras_se.export.metadata import FILE, add_to_archive, dump


def write_saved_model(inference_model, path, metadata):
    """Writes a SavedModel; its metadata lies in `assets.extra`, which TF Serving leaves alone."""
    inference_model.network.export(path, format="tf_saved_model", verbose=False)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / FILE).write_text(dump(metadata), encoding="utf-8")


def load_saved_model(path, inference_model):
    """Gives a callable that runs the signature `serving_default`."""
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]

    def run(images):
        results = serve(**{name: tf.constant(images)})
        return [result.numpy() for _, result in sorted(results.items())]

    return run


def write_litert(inference_model, path, metadata, calibration=None):
    """Writes a LiteRT file, in float32 or, with `calibration`, in 8-bit integers."""
    import tensorflow as tf

    function, holder = _concrete(inference_model.network)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([one[None]] for one in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        content = converter.convert()
    except Exception as error:  # whatever the converter raises, with pages of its own graph
        reason = str(error).strip().split("\n")[0][:200]
        raise ValueError(
            f"LiteRT cannot hold {inference_model.model.name}: {reason}. Nothing was written."
        ) from error
    Path(path).write_bytes(content)
    add_to_archive(path, metadata)


def _concrete(network):
    """The inference of `network` as a graph, and what its variables live in.

    A SavedModel would do, but to write one Keras follows every layer, which takes longest.
    """
    import tensorflow as tf

    holder = tf.Module()
    holder.network_variables = [one.value for one in network.weights]
    (images,) = network.inputs
    signature = [tf.TensorSpec(images.shape, images.dtype, name=images.name)]

    def infer(images):
        return network(images, training=False)

    function = tf.function(infer, signature, autograph=False).get_concrete_function()
    return function, holder


def load_litert(path, inference_model):
    """Gives a callable that runs the file with LiteRT's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    (image,) = interpreter.get_input_details()

    def run(images):
        interpreter.resize_tensor_input(image["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(image["index"], np.ascontiguousarray(images))
        interpreter.invoke()
        details = sorted(interpreter.get_output_details(), key=lambda one: one["name"])
        return [interpreter.get_tensor(one["index"]) for one in details]

    return run
