"""Exports to ONNX, and by it to OpenVINO, on every backend."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_se.export.format import Format
from keras_se.export.metadata import KEY, dump
from keras_se.export.onnx.translate import translate
from keras_se.validation import as_value_error

# Some processors compute in bfloat16 unless they are told not to.
FULL_PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}


class OfOnnx(Format):
    """What is made of an ONNX graph."""

    def prepare(self, inference_model):
        """Translates the graph."""
        return translate(inference_model)


class Onnx(OfOnnx):
    """An ONNX file; for one size of images as ONNX Runtime is fastest with."""

    def write(self, inference_model, path, metadata, calibration=None):
        """Saves the graph."""
        import onnx

        onnx.helper.set_model_props(inference_model.translated, {KEY: dump(metadata)})
        onnx.save(inference_model.translated, path)

    def load(self, path, inference_model=None):
        """Loads the file into ONNX Runtime, on the processor."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda images: session.run(None, {session.get_inputs()[0].name: images})

    def read(self, path):
        """Reads the file's own metadata."""
        import onnx

        model = onnx.load(path, load_external_data=False)
        return {entry.key: entry.value for entry in model.metadata_props}[KEY]


class OpenVino(OfOnnx):
    """OpenVINO's `.xml` and `.bin`, in float32 if a subclass does not quantize them."""

    def write(self, inference_model, path, metadata, calibration=None):
        """Converts the graph."""
        save_openvino(as_openvino(inference_model), path, metadata)

    def load(self, path, inference_model=None):
        """Loads the `.xml` into OpenVINO, on the processor."""
        core = import_openvino().Core()
        model = core.compile_model(path, "CPU", self.precision(core))

        def run(images):
            results = model(images)
            return [results[index] for index in range(len(model.outputs))]

        return run

    def precision(self, core):
        """The hint to OpenVINO about the precision that this export is verified in: float32."""
        return FULL_PRECISION

    def read(self, path):
        """Reads the `rt_info` of the `.xml`."""
        from xml.etree import ElementTree

        return ElementTree.parse(path).find(f"rt_info/{KEY}").attrib["value"]


def as_openvino(inference_model):
    """Reads the translated network of an `InferenceModel` into an `openvino.Model`."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(inference_model.translated, path)
        with as_value_error(f"OpenVINO cannot read the graph of {inference_model.model.name}"):
            return import_openvino().Core().read_model(path)


def save_openvino(model, path: Path, metadata: dict) -> None:
    """Writes the `.xml` and `.bin` of an `openvino.Model`, with metadata."""
    model.set_rt_info(dump(metadata), [KEY])
    import_openvino().save_model(model, path, compress_to_fp16=False)


def import_openvino():
    """Imports OpenVINO without its telemetry.

    Returns:
        The module `openvino`. If it is not installed, the `ImportError` is its own.
    """
    with without_telemetry():
        import openvino
    return openvino


@contextlib.contextmanager
def without_telemetry() -> Iterator[None]:
    """Hides OpenVINO's telemetry, which forks and calls a server, from imports in the block."""
    # What is None here counts as not installed, and OpenVINO then does without.
    hidden = "openvino_telemetry" not in sys.modules
    if hidden:
        sys.modules["openvino_telemetry"] = None
    try:
        yield
    finally:
        if hidden:
            del sys.modules["openvino_telemetry"]
