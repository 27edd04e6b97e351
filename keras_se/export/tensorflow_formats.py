"""Exports that TensorFlow writes: SavedModel and LiteRT."""

import numpy as np

from keras_se.export.format import Format
from keras_se.export.metadata import FILE, add_to_archive, dump, read_from_archive


class SavedModel(Format):
    """A folder for TensorFlow; its metadata lies in `assets.extra`, which TF Serving leaves."""

    def write(self, inference_model, path, metadata, calibration=None):
        """Writes the signature `serving_default`."""
        inference_model.network.export(path, format="tf_saved_model", verbose=False)
        extra = path / "assets.extra"
        extra.mkdir()
        (extra / FILE).write_text(dump(metadata), encoding="utf-8")

    def load(self, path, inference_model=None):
        """Loads the signature into TensorFlow."""
        import tensorflow as tf

        serve = tf.saved_model.load(str(path)).signatures["serving_default"]
        (name,) = serve.structured_input_signature[1]

        def run(images):
            results = serve(**{name: tf.constant(images)})
            return [results[key].numpy() for key in sorted(results, key=_by_number)]

        return run

    def read(self, path):
        """Reads the file in `assets.extra`."""
        return (path / "assets.extra" / FILE).read_text(encoding="utf-8")


class LiteRT(Format):
    """A LiteRT file, in float32 or, with calibration images, in 8-bit integers."""

    def write(self, inference_model, path, metadata, calibration=None):
        """Converts the graph of the network."""
        import tensorflow as tf

        function, holder = _concrete(inference_model.network)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
        if calibration is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([image[None]] for image in calibration)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        try:
            content = converter.convert()
        except Exception as error:  # whatever the converter raises, with pages of its own graph
            reason = str(error).strip().split("\n")[0][:200]
            raise ValueError(
                f"LiteRT cannot hold {inference_model.model.name}: {reason}. Nothing was written."
            ) from error
        path.write_bytes(content)
        add_to_archive(path, metadata)

    def load(self, path, inference_model=None):
        """Loads the file into LiteRT's interpreter."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path))
        (image,) = interpreter.get_input_details()

        def run(images):
            interpreter.resize_tensor_input(image["index"], images.shape)
            interpreter.allocate_tensors()
            interpreter.set_tensor(image["index"], np.ascontiguousarray(images))
            interpreter.invoke()
            outputs = interpreter.get_output_details()
            outputs.sort(key=lambda output: _by_number(output["name"]))
            return [interpreter.get_tensor(output["index"]) for output in outputs]

        return run

    def read(self, path):
        """Reads the archive at the end of the file."""
        return read_from_archive(path)


def _by_number(name):
    """Sorts `output_10` after `output_2`."""
    return len(name), name


def _concrete(network):
    """The inference of `network` as a graph, and what its variables live in.

    A SavedModel would do, but to write one Keras follows every layer, which takes longest.
    """
    import tensorflow as tf

    holder = tf.Module()
    holder.network_variables = [weight.value for weight in network.weights]
    (images,) = network.inputs
    signature = [tf.TensorSpec(images.shape, images.dtype, name=images.name)]

    def infer(images):
        return network(images, training=False)

    function = tf.function(infer, signature, autograph=False).get_concrete_function()
    return function, holder
