"""Exports to ONNX, and by it to OpenVINO, on every backend."""

import sys
import tempfile
from pathlib import Path

from keras_se.export.format import Format
from keras_se.export.metadata import KEY, dump
from keras_se.export.onnx.translate import translate

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
    """OpenVINO's `.xml` and `.bin`, in float32."""

    def write(self, inference_model, path, metadata, calibration=None):
        """Converts an ONNX file."""
        import onnx

        openvino = import_openvino()
        with tempfile.TemporaryDirectory() as folder:
            onnx_file = Path(folder) / "model.onnx"
            onnx.save(inference_model.translated, onnx_file)
            model = openvino.Core().read_model(onnx_file)
            model.set_rt_info(dump(metadata), [KEY])
            openvino.save_model(model, path, compress_to_fp16=False)

    def load(self, path, inference_model=None):
        """Loads the `.xml` into OpenVINO, on the processor, in float32."""
        model = import_openvino().Core().compile_model(path, "CPU", FULL_PRECISION)

        def run(images):
            results = model(images)
            return [results[index] for index in range(len(model.outputs))]

        return run

    def read(self, path):
        """Reads the `rt_info` of the `.xml`."""
        from xml.etree import ElementTree

        return ElementTree.parse(path).find(f"rt_info/{KEY}").attrib["value"]


def import_openvino():
    """Imports OpenVINO without its telemetry, which forks and calls a server when imported.

    Returns:
        The module `openvino`. If it is not installed, the `ImportError` is its own.
    """
    # What is None here counts as not installed, and OpenVINO then does without.
    hidden = sys.modules.setdefault("openvino_telemetry", None) is None
    try:
        import openvino
    finally:
        if hidden:
            del sys.modules["openvino_telemetry"]
    return openvino
