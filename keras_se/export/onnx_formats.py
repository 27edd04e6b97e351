"""Exports to ONNX, and by it to OpenVINO, on every backend."""

import sys
import tempfile
from pathlib import Path

from keras_se.export.metadata import KEY, dump

# Some processors compute in bfloat16 unless they are told not to.
FULL_PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}


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


def write_onnx(inference_model, path, metadata):
    """Writes an ONNX file; for one size of images as ONNX Runtime is fastest with."""
    import onnx

    from keras_se.export.onnx_graph import onnx_model

    onnx.save(
        onnx_model(inference_model.network, metadata, blocked=inference_model.fixed_size), path
    )


def load_onnx(path, inference_model=None):
    """Gives a callable that runs the file with onnxruntime, on the processor."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {session.get_inputs()[0].name: images})


def write_openvino(inference_model, path, metadata):
    """Writes OpenVINO's `.xml` and `.bin`, in float32, from the ONNX graph."""
    openvino = import_openvino()
    with tempfile.TemporaryDirectory() as folder:
        onnx_file = Path(folder) / "model.onnx"
        write_onnx(inference_model, onnx_file, metadata)
        model = openvino.Core().read_model(onnx_file)
        model.set_rt_info(dump(metadata), [KEY])
        openvino.save_model(model, path, compress_to_fp16=False)


def load_openvino(path, inference_model=None):
    """Gives a callable that runs the `.xml` with OpenVINO, on the processor, in float32."""
    model = import_openvino().Core().compile_model(path, "CPU", FULL_PRECISION)

    def run(images):
        results = model(images)
        return [results[index] for index in range(len(model.outputs))]

    return run
