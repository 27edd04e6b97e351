"""Exports that TensorFlow writes: SavedModel and LiteRT."""

import tempfile
from pathlib import Path

import numpy as np

from keras_se.export.metadata import FILE, add_to_archive, dump


def export_network(network, folder):
    """Writes a SavedModel of a Keras model, and nothing else."""
    network.export(folder, format="tf_saved_model", verbose=False)


def write_saved_model(served, path, metadata):
    """Writes a SavedModel; its metadata lies in `assets.extra`, which TF Serving leaves alone."""
    export_network(served.network, path)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / FILE).write_text(dump(metadata), encoding="utf-8")


def load_saved_model(path, served):
    """Gives a callable that runs the signature `serving_default`."""
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]

    def run(images):
        results = serve(**{name: tf.constant(images)})
        return [result.numpy() for _, result in sorted(results.items())]

    return run


def write_litert(served, path, metadata, calibration=None):
    """Writes a LiteRT file, in float32 or, with `calibration`, in 8-bit integers."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        export_network(served.network, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if calibration is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([one[None]] for one in calibration)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        try:
            content = converter.convert()
        except Exception as error:  # whatever the converter raises, with pages of its own graph
            reason = str(error).strip().split("\n")[0][:200]
            raise ValueError(
                f"LiteRT cannot hold {served.model.name}: {reason}. Nothing was written."
            ) from error
        Path(path).write_bytes(content)
    add_to_archive(path, metadata)


def load_litert(path, served):
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
