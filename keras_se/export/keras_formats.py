"""Exports to Keras's own file and to a PyTorch state dict."""

import keras

from keras_se.export.metadata import KEY, add_to_archive, dump


def write_keras(inference_model, path, metadata):
    """Writes a `.keras` file with the metadata as a further member of the archive."""
    inference_model.network.save(path)
    add_to_archive(path, metadata)


def load_keras(path, inference_model):
    """Gives a callable that runs the model of a `.keras` file."""
    from keras_se.export.verify import outputs

    model = keras.saving.load_model(path, compile=False)
    return lambda images: outputs(model, images)


def write_state_dict(inference_model, path, metadata):
    """Writes the weights by the names that timm gives them."""
    from keras_se.weights import export_state_dict

    export_state_dict(inference_model.model, path, metadata={KEY: dump(metadata)})


def load_state_dict(path, inference_model):
    """Gives a callable that runs a copy of the network with the weights of the file."""
    from keras_se.export.verify import outputs
    from keras_se.weights.checkpoint import read_checkpoint

    copy = keras.models.clone_model(inference_model.any_size)
    read_checkpoint(path).load_into(copy)
    return lambda images: outputs(copy, images)
