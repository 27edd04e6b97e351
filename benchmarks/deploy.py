"""Inference speed of exports by runtime, against plain twins, PyTorch and the processor's limit.

python benchmarks/deploy.py --out runs/deploy [--torch-python ENVIRONMENT/bin/python] [--rounds 9]
    [--batches 1 8] [--size 224] [--threads 2] [--runtimes ...]

Exports the networks with random weights to `--out`, unless they are there, and then runs each in
turns in every runtime; a runtime is a process of its own. Ratios are of the two times in the same
round; printed are medians, and the quartiles of ratios. Writes `deploy.md` and `deploy.json`.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from keras_se.benchmark import Task, Worker, measure, quartiles

# Of timm, by the names of keras_se.
NETWORKS = {
    "SEResNet50": "seresnet50",
    "ResNet50": "resnet50",
    "SEResNeXt50_32x4d": "seresnext50_32x4d",
    "MobileNetV3Large": "mobilenetv3_large_100",
}
MAIN, TWIN = "SEResNet50", "ResNet50"
QUANTIZED = ("SEResNet50", "ResNet50", "SEResNeXt50_32x4d", "MobileNetV3Large")
SUFFIXES = {
    "saved_model": "",
    "onnx": ".onnx",
    "onnx_fixed": "-fixed.onnx",
    "openvino": ".xml",
    "litert": ".tflite",
}
FORMATS = {
    "tensorflow": "saved_model",
    "onnxruntime": "onnx_fixed",
    "onnxruntime any size": "onnx",
    "openvino": "openvino",
    "openvino bfloat16": "openvino",
    "litert": "litert",
}
# Runtimes of 8-bit integers, and what follows the name of a network in their files.
INTEGER = "-int8"
INTEGERS = {
    "onnxruntime any size": ("onnx_int8", "-int8.onnx"),
    "openvino bfloat16": ("openvino_int8", "-int8.xml"),
    "litert": ("litert_int8", "-int8.tflite"),
}
FLOATS = ("tensorflow", "onnxruntime", "openvino", "litert")
TORCH = ("torch", "torch compiled")
# Whose products of matrices are timed; the fastest is the limit. ONNX Runtime's is NumPy's.
PRODUCTS = ("tensorflow", "onnxruntime", "torch")
# What is compared, and the most that the ratio of times may be.
AGAINST_TORCH = (
    ("torch", MAIN, 0.7),
    ("torch compiled", MAIN, 0.8),
    ("torch", "SEResNeXt50_32x4d", 0.7),
    ("torch", "MobileNetV3Large", 0.7),
)
AGAINST_TORCH_INTEGER = {"SEResNet50": 0.19, "SEResNeXt50_32x4d": 0.30, "MobileNetV3Large": 0.22}
# Multiply-adds of SE-ResNet-50, of 224 pixels, count twice.
OPERATIONS = 2 * 4.09e9
SIDE = 2048  # of the matrices whose product gives the processor's limit


def export(folder, size):
    """Writes the exports that are missing."""
    from keras_se.applications import get_model

    random = np.random.default_rng(0)
    for name in NETWORKS:
        model = get_model(name)(weights=None)
        for format, suffix in SUFFIXES.items():
            write(model, folder / f"{name}{suffix}", format)
        if name == MAIN:
            write(model, folder / f"{name}-unfolded", "saved_model", fold=False)
        if name in QUANTIZED:
            images = random.standard_normal((32, size, size, 3), "float32")
            for format, suffix in INTEGERS.values():
                write(model, folder / f"{name}{suffix}", format, calibration=images)


def write(model, path, format, **options):
    """One export, if it is not there."""
    from keras_se.export import export_model

    if not path.exists():
        done = export_model(model, path, format, **options)
        print(f"{path.name}: difference {done.difference:.1e}", flush=True)


def contenders(runtimes):
    """Pairs of a runtime and what it runs: a network, a variant of one, or a product."""
    for runtime in runtimes:
        # PyTorch compiles each network for a minute.
        names = [MAIN] if runtime == "torch compiled" else NETWORKS
        yield from ((runtime, name) for name in names)
        if runtime == "tensorflow":
            yield runtime, f"{MAIN}-unfolded"
        if runtime in INTEGERS:
            yield from ((runtime, f"{name}{INTEGER}") for name in QUANTIZED)
        if runtime in PRODUCTS:
            yield runtime, "product"


def measured(options):
    """Seconds of each round, by batch, runtime and name."""
    tasks = {}
    for runtime, name in contenders(options.runtimes):
        product = name == "product"
        shape = (SIDE,) if product else (options.size, options.size, 3)
        tasks[runtime, name] = Task(runtime, model_of(options.out, runtime, name), shape)
    with contextlib.ExitStack() as stack:
        workers = {}
        for runtime in options.runtimes:
            python = options.torch_python if runtime in TORCH else sys.executable
            worker = Worker(runtime, options.threads, python, options.clock)
            workers[runtime] = stack.enter_context(worker)
        seconds = measure(
            tasks,
            workers,
            batches=options.batches,
            rounds=options.rounds,
            images=options.images,
            say=lambda text: print(text, file=sys.stderr, flush=True),
        )
    return {(batch, *key): values for (batch, key), values in seconds.items()}


def model_of(folder, runtime, name):
    """What a worker calls a network."""
    if name == "product":
        return name
    if runtime in TORCH:
        return NETWORKS[name]
    if name.endswith(INTEGER):
        return str(folder / f"{name.removesuffix(INTEGER)}{INTEGERS[runtime][1]}")
    return str(folder / f"{name}{SUFFIXES[FORMATS[runtime]]}")


class Results:
    """Medians and ratios of what was measured."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.batches = sorted({batch for batch, _, _ in seconds})
        self.runtimes = list(dict.fromkeys(runtime for _, runtime, _ in seconds))

    def median(self, batch, runtime, name):
        """Seconds of a pass."""
        return statistics.median(self.seconds[batch, runtime, name])

    def best(self, batch, name):
        """The fastest runtime of float32, PyTorch not among them."""
        legal = [one for one in self.runtimes if one in FLOATS]
        return min(legal, key=lambda runtime: self.median(batch, runtime, name))

    def ratio(self, batch, one, other):
        """Median and quartiles of the ratios of two contenders, round by round."""
        pairs = zip(self.seconds[batch, *one], self.seconds[batch, *other], strict=True)
        ratios = [first / second for first, second in pairs]
        return quartiles(ratios)

    def of_limit(self, batch, runtime):
        """SE-ResNet-50 in parts of the time that its products alone would take."""
        products = [one for one in self.seconds if one[0] == batch and one[2] == "product"]
        rounds = zip(*(self.seconds[one] for one in products), strict=True)
        needed = [batch * OPERATIONS * min(one) / (2 * SIDE**3) for one in rounds]
        mine = self.seconds[batch, runtime, MAIN]
        return quartiles([first / second for first, second in zip(mine, needed, strict=True)])


def targets(results):
    """Rows of a text, the batch, the target and the summary of a ratio; less is better."""
    for batch in results.batches:
        for runtime in results.runtimes:
            pair = (runtime, MAIN), (runtime, TWIN)
            if (batch, *pair[1]) in results.seconds:
                limit = 1.03 if batch > 1 else 1.05
                yield f"{MAIN} / {TWIN}, {runtime}", batch, limit, results.ratio(batch, *pair)
        yield from against_others(results, batch)
        yield from of_integers(results, batch)


def of_integers(results, batch):
    """Rows of what the fastest 8-bit integers are compared with: the twin's and float32."""
    there = [runtime for runtime in INTEGERS if runtime in results.runtimes]
    if not there:
        return
    for runtime in there:
        pair = (runtime, MAIN + INTEGER), (runtime, TWIN + INTEGER)
        text = f"{MAIN} / {TWIN}, {runtime}, int8"
        yield text, batch, 1.08, results.ratio(batch, *pair)
    for name, limit in AGAINST_TORCH_INTEGER.items():
        runtime = min(there, key=lambda one: results.median(batch, one, name + INTEGER))
        mine = runtime, name + INTEGER
        best = results.best(batch, name)
        text = f"{name}, {runtime}, int8 / {best}, float32"
        yield text, batch, 1 / 1.5, results.ratio(batch, mine, (best, name))
        if "torch" in results.runtimes:
            text = f"{name}, {runtime}, int8 / torch, float32"
            yield text, batch, limit, results.ratio(batch, mine, ("torch", name))


def against_others(results, batch):
    """Rows of what is compared with the unfolded network, PyTorch and the limit."""
    best = results.best(batch, MAIN)
    if "tensorflow" in results.runtimes:
        pair = ("tensorflow", MAIN), ("tensorflow", f"{MAIN}-unfolded")
        yield f"{MAIN}, tensorflow, folded / unfolded", batch, 0.9, results.ratio(batch, *pair)
    for torch, name, limit in AGAINST_TORCH:
        if torch in results.runtimes:
            runtime = results.best(batch, name)
            pair = (runtime, name), (torch, name)
            yield f"{name}, {runtime} / {torch}", batch, limit, results.ratio(batch, *pair)
    if any(name == "product" for _, _, name in results.seconds):
        text = f"{MAIN}, {best} / its products alone"
        yield text, batch, 1.0, results.of_limit(batch, best)


def page(results):
    """The tables as Markdown."""
    for batch in results.batches:
        yield f"| batch {batch}, ms | {' | '.join(results.runtimes)} |"
        yield "|---|" + "---:|" * len(results.runtimes)
        for name in dict.fromkeys(name for _, _, name in results.seconds):
            cells = [
                f"{1000 * results.median(batch, runtime, name):.1f}"
                if (batch, runtime, name) in results.seconds
                else "-"
                for runtime in results.runtimes
            ]
            yield f"| {name} | {' | '.join(cells)} |"
        yield ""
    yield "| what | batch | target | ratio | quartiles | met |"
    yield "|---|---:|---:|---:|---|---|"
    for text, batch, limit, (median, first, third) in targets(results):
        met = "yes" if median <= limit else "no"
        spread = f"{first:.3f} to {third:.3f}"
        yield f"| {text} | {batch} | {limit:.2f} | {median:.3f} | {spread} | {met} |"


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of exports and results")
    parser.add_argument("--torch-python", help="Python of an environment with torch and timm")
    parser.add_argument("--rounds", type=int, default=9, help="default: 9")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="default: 1 8")
    parser.add_argument("--images", type=int, default=8, help="of a turn, or one batch")
    parser.add_argument("--size", type=int, default=224, help="side in pixels (default: 224)")
    parser.add_argument("--threads", type=int, default=2, help="of each runtime (default: 2)")
    clocks = ("perf_counter", "process_time")
    text = "of Python's time; on a busy machine process_time and one thread (default: the first)"
    parser.add_argument("--clock", choices=clocks, default=clocks[0], help=text)
    parser.add_argument("--runtimes", nargs="+", choices=[*FORMATS, *TORCH], help="default: all")
    parser.add_argument("--export", action="store_true", help="write the exports only")
    options = parser.parse_args(arguments)
    every = [*FORMATS, *(TORCH if options.torch_python else ())]
    options.runtimes = options.runtimes or every
    options.out = options.out.resolve()
    return options


def main(arguments=None):
    """Exports in a process of its own, measures, and writes the results."""
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.export:
        export(options.out, options.size)
        return
    words = ["--out", options.out, "--size", str(options.size), "--export"]
    subprocess.run([sys.executable, __file__, *words], check=True)
    before = os.getloadavg()
    seconds = measured(options)
    about = {
        "command": sys.argv,
        "date": time.strftime("%Y-%m-%d"),
        "load": [before, os.getloadavg()],
        "seconds": [[*key, values] for key, values in seconds.items()],
    }
    (options.out / "deploy.json").write_text(json.dumps(about, indent=1))
    text = "\n".join(page(Results(seconds)))
    (options.out / "deploy.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
