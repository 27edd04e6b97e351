"""One runtime in a process of its own, which `keras_se.benchmark.turns` tells what to run.

python worker.py RUNTIME THREADS CLOCK DESCRIPTOR

Reads requests as lines of JSON, `{"model": ..., "shape": ..., "dtype": ..., "passes": ...}`, and
answers each with a list of seconds, one of each pass, by the `perf_counter` or the `process_time`
of `time`, in the open file with the number DESCRIPTOR. It needs no more than its runtime, so that
it runs in an environment without keras_se.
"""

import functools
import json
import os
import sys
import time


def tensorflow(path, images, threads):
    """A pass of a SavedModel."""
    import tensorflow as tf

    serve = tf.saved_model.load(path).signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    inputs = {name: tf.constant(images)}
    return lambda: [result.numpy() for result in serve(**inputs).values()]


def onnxruntime(path, images, threads):
    """A pass of an ONNX file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Else its threads spin in the turns of others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Else it copies the summand of each residual, not knowing that the sum is as large.
    options.add_free_dimension_override_by_name("batch", len(images))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (name,) = (image.name for image in session.get_inputs())
    return lambda: session.run(None, {name: images})


def openvino(path, images, threads, precision="f32"):
    """A pass of OpenVINO's files."""
    # It would call a server; what is None here counts as not installed.
    sys.modules["openvino_telemetry"] = None
    import openvino

    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
    }
    request = openvino.Core().compile_model(path, "CPU", hints).create_infer_request()
    return lambda: request.infer([images], share_inputs=True)


def litert(path, images, threads):
    """A pass of a LiteRT file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=threads)
    (image,) = interpreter.get_input_details()
    (output,) = interpreter.get_output_details()
    interpreter.resize_tensor_input(image["index"], images.shape)
    interpreter.allocate_tensors()

    def run():
        interpreter.set_tensor(image["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(output["index"])

    return run


def keras(path, images, threads):
    """A pass of a `.keras` file, on Keras's backend."""
    import keras

    model = keras.saving.load_model(path, compile=False)
    return lambda: model.predict_on_batch(images)


def torch(name, images, threads, compiled=False):
    """A pass of a network of timm, channels last."""
    import timm
    import torch

    torch.set_num_threads(threads)
    model = timm.create_model(name).eval().to(memory_format=torch.channels_last)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    # For the one size that it will see.
    call = torch.compile(model, dynamic=False) if compiled else model

    def run():
        with torch.inference_mode():
            return call(tensor)

    return run


def product(side):
    """A product of two square matrices in NumPy, or in the framework of this process."""
    import numpy as np

    first, second = np.random.default_rng(0).standard_normal((2, side, side), "float32")
    if "torch" in sys.modules:
        import torch

        first, second = torch.from_numpy(first), torch.from_numpy(second)
    elif "tensorflow" in sys.modules:
        import tensorflow as tf

        first, second = tf.constant(first), tf.constant(second)
    return lambda: first @ second


RUNTIMES = {
    "tensorflow": tensorflow,
    "onnxruntime": onnxruntime,
    "onnxruntime any size": onnxruntime,
    "openvino": openvino,
    "openvino bfloat16": functools.partial(openvino, precision="bf16"),
    "litert": litert,
    "keras": keras,
    "torch": torch,
    "torch compiled": functools.partial(torch, compiled=True),
}


@functools.cache
def runner(runtime, threads, model, shape, dtype):
    """A function that makes one pass; it is built once."""
    import numpy as np

    if model == "product":
        return product(shape[-1])
    images = np.random.default_rng(0).standard_normal(shape, "float32")
    images = np.clip(40 * images + 128, 0, 255).astype(dtype) if dtype == "uint8" else images
    return RUNTIMES[runtime](model, images, threads)


def timed(run, passes, clock):
    """Seconds of each pass, after one that is not timed: caches hold what others have run."""
    seconds = []
    for _ in range(passes + 1):
        begin = clock()
        run()
        seconds.append(clock() - begin)
    return seconds[1:]


def main(runtime, threads, clock, descriptor):
    """Answers until there is nothing more to read."""
    with os.fdopen(int(descriptor), "w") as answers:
        for line in sys.stdin:
            request = json.loads(line)
            passes, shape = request.pop("passes"), tuple(request.pop("shape"))
            run = runner(runtime, int(threads), shape=shape, **request)
            print(json.dumps(timed(run, passes, getattr(time, clock))), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
