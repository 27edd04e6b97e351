"""Which way a network goes to ONNX: by our own translation, or by Keras's."""

import dataclasses
import logging

from keras_se.export.inference_model import of_own_size
from keras_se.export.onnx.converted import converted_model
from keras_se.export.onnx.model import onnx_model

LOG = logging.getLogger("keras_se")


def translate(inference_model):
    """Translates the network of an `InferenceModel`.

    Our own translation is for any image size and what runtimes are fastest with. A network with
    operations that it does not know is translated by Keras, for images of its own size.

    Args:
        inference_model: The `InferenceModel`.

    Returns:
        An `InferenceModel` with the `onnx.ModelProto` as its attribute `translated`, of the size
        of image that the graph is for.

    Raises:
        ValueError: If Keras cannot translate it either.
        ImportError: If what Keras needs for that is not installed.
    """
    network, blocked = inference_model.network, inference_model.fixed_size
    try:
        translated = onnx_model(network, blocked=blocked)
    except ValueError as error:
        LOG.info("Through Keras's own export to ONNX: %s", error)
        size = inference_model.model.inputs[0].shape[1:]
        if None in size:
            raise ValueError(
                f"{error} Keras's own export needs images of a known size. Received: {size}"
            ) from error
        inference_model = dataclasses.replace(
            inference_model,
            any_size=of_own_size(inference_model.any_size, size),
            network=of_own_size(network, size),
        )
        translated = converted_model(inference_model.network, str(error))
    return dataclasses.replace(inference_model, translated=translated)
