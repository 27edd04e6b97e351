"""Exports to Keras's own file and to a PyTorch state dict."""

import keras

from keras_se.export.format import Format
from keras_se.export.metadata import KEY, add_to_archive, dump, read_from_archive
from keras_se.export.verify import outputs
from keras_se.validation import as_value_error


class KerasFile(Format):
    """A `.keras` file, with the metadata as a further member of the archive."""

    def write(self, inference_model, path, metadata, calibration=None):
        """Saves the network."""
        with as_value_error("Keras cannot save the model"):
            inference_model.network.save(path)
        add_to_archive(path, metadata)

    def load(self, path, inference_model=None):
        """Loads the file into Keras."""
        model = keras.saving.load_model(path, compile=False)
        return lambda images: outputs(model, images)

    def read(self, path):
        """Reads the member of the archive."""
        return read_from_archive(path)


class StateDict(Format):
    """Weights alone, by the names that timm gives them."""

    def write(self, inference_model, path, metadata, calibration=None):
        """Writes the weights of the network as it was trained."""
        from keras_se.weights import export_state_dict
        from keras_se.weights.convert import keras_variables

        model, flat = inference_model.model, inference_model.any_size
        # Behind the name of the model that it is in, no program would look for a layer.
        if keras_variables(model).keys() != keras_variables(flat).keys():
            raise ValueError(
                "format='state_dict' needs a network of keras_se itself, not one nested in another "
                f"model: name another format. Received: {model.name!r}"
            )
        export_state_dict(model, path, metadata={KEY: dump(metadata)})

    def load(self, path, inference_model=None):
        """Loads the weights into a copy of the network."""
        from keras_se.weights.checkpoint import read_checkpoint

        copy = keras.models.clone_model(inference_model.any_size)
        read_checkpoint(path).load_into(copy)
        return lambda images: outputs(copy, images)

    def read(self, path):
        """Reads the file's own metadata."""
        from safetensors import safe_open

        with safe_open(path, "numpy") as file:
            return file.metadata()[KEY]
