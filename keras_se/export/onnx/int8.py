"""Exports to 8-bit integers, which ONNX Runtime and OpenVINO's NNCF make of an ONNX graph."""

import contextlib
import io
import logging

from keras_se.export.metadata import KEY, dump
from keras_se.export.onnx.formats import (
    FULL_PRECISION,
    Onnx,
    OpenVino,
    as_openvino,
    save_openvino,
    without_telemetry,
)
from keras_se.validation import as_value_error

BATCH = 16


class OnnxInt8(Onnx):
    """An ONNX file whose convolutions are between operators that quantize and dequantize (QDQ)."""

    def write(self, inference_model, path, metadata, calibration=None):
        """Quantizes the graph: weights per channel and signed, activations unsigned."""
        import onnx
        from onnxruntime import quantization

        failed = f"ONNX Runtime cannot quantize {inference_model.model.name}"
        with _quiet(), as_value_error(failed):
            quantization.quantize_static(
                inference_model.translated,
                path,
                _reader(calibration),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        quantized = onnx.load(path)
        onnx.helper.set_model_props(quantized, {KEY: dump(metadata)})
        onnx.save(quantized, path)


class OpenVinoInt8(OpenVino):
    """OpenVINO's `.xml` and `.bin` with 8-bit integers; the product with the gates has none.

    In integers that product costs more than in 16 bits, to which the layers around it are added.
    """

    def write(self, inference_model, path, metadata, calibration=None):
        """Quantizes the graph: weights symmetric, activations asymmetric."""
        with without_telemetry(), _quiet():
            import nncf

            model = as_openvino(inference_model)
            with as_value_error(f"NNCF cannot quantize {inference_model.model.name}"):
                quantized = nncf.quantize(
                    model,
                    nncf.Dataset([image[None] for image in calibration]),
                    preset=nncf.QuantizationPreset.MIXED,
                    subset_size=len(calibration),
                    ignored_scope=nncf.IgnoredScope(names=_gate_products(model)),
                    advanced_parameters=_whole_ranges(),
                )
        save_openvino(quantized, path, metadata)

    def precision(self, core):
        """In bfloat16, what is not in integers, on processors that compute in it."""
        known = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return {"INFERENCE_PRECISION_HINT": "bf16"} if "BF16" in known else FULL_PRECISION


def _whole_ranges():
    """Ranges that hold every calibration image; NNCF's own, means over images, cut many off."""
    from nncf import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    return AdvancedQuantizationParameters(
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
    )


def _reader(images):
    """The calibration images as ONNX Runtime asks for them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self):
            starts = range(0, len(images), BATCH)
            self.batches = iter({"images": images[start : start + BATCH]} for start in starts)

        def get_next(self):
            return next(self.batches, None)

    return Reader()


def _gate_products(model):
    """Names of the products of a map with one number for each of its channels."""
    return [
        operation.get_friendly_name()
        for operation in model.get_ordered_ops()
        if operation.get_type_name() == "Multiply" and _has_gates(operation)
    ]


def _has_gates(product):
    shape = product.output(0).partial_shape
    if shape.rank.is_dynamic or len(shape) != 4:
        return False
    for factor in product.inputs():
        source = factor.get_source_output()
        sides = zip(source.partial_shape, shape, strict=False)
        # Of two sides of one pixel, whatever the order of the axes.
        single = sum(str(one) == "1" and str(other) != "1" for one, other in sides)
        if single == 2 and source.get_node().get_type_name() != "Constant":
            return True
    return False


@contextlib.contextmanager
def _quiet():
    """Without the progress bars and hints of those who quantize."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
