"""Where does the time of a training step go on a GPU, and how much of it is SE?

KERAS_BACKEND=jax python benchmarks/gpu_profile.py --out runs/profile.json [--network seresnet50]
    [--size 224] [--batch 256] [--steps 10] [--precision bfloat16]
    [--keep FOLDER | --read FOLDER]

JAX's profiler says how long each kernel ran, and XLA's text of the compiled program which layer a
kernel is of: that of the operation in which it ends. A kernel that fuses the gates' product with
the sum after it counts as the sum's, so the time of SE is a lower bound; the time of all kernels
with any operation of SE is an upper bound.
"""

import argparse
import collections
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

KINDS = {
    "SqueezeExcite": "SE",
    "BatchNormalization": "batch norm",
    "Conv2D": "convolution",
    "MaxPooling2D": "pooling",
}
INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.-]+) = ")
COMPUTATION = re.compile(r"^%?([\w.-]+) \(.*\{$")
NAME, CALLS = re.compile(r'op_name="([^"]*)"'), re.compile(r"calls=%?([\w.-]+)")


def operation_names(dumped):
    """The operations of each instruction of the compiled programs, its own first.

    XLA's texts name an operation for each instruction, also for those that one kernel fuses.
    """
    names, calls, inside = {}, {}, collections.defaultdict(set)
    for path in Path(dumped).glob("*after_optimizations.txt"):
        computation = ""
        for line in path.read_text().splitlines():
            if match := COMPUTATION.match(line):
                computation = match[1]
            elif instruction := INSTRUCTION.match(line):
                name = NAME.search(line)
                names.setdefault(instruction[1], name[1] if name else "")
                inside[computation].add(name[1] if name else "")
                if called := CALLS.search(line):
                    calls[instruction[1]] = called[1]
    # A kernel's name has no dots.
    return {key.replace(".", "_"): (name, *inside[calls.get(key)]) for key, name in names.items()}


def device_times(traced):
    """Nanoseconds of each instruction on the device, and of what has no name there."""
    import jax

    (trace,) = Path(traced).rglob("*.xplane.pb")
    planes = list(jax.profiler.ProfileData.from_file(str(trace)).planes)
    # On a GPU, only what ran there: its streams.
    on_gpu = [plane for plane in planes if plane.name.startswith("/device:GPU")]
    times = collections.Counter()
    for line in (line for plane in on_gpu or planes for line in plane.lines):
        if on_gpu and "Stream" not in line.name:
            continue
        for event in line.events:
            instruction = next((value for key, value in event.stats if key == "hlo_op"), None)
            # Of a CUDA graph, only its kernels say what they are.
            if on_gpu and (not instruction or instruction.startswith("command_buffer")):
                instruction = event.name
            if instruction:
                times[instruction.replace(".", "_")] += event.duration_ns
    return times


def kind_of(operation, kinds, instruction=""):
    """What kind of layer an operation is of, from the names of the layers."""
    if instruction.startswith("Memcpy"):
        return "copies to and from the host"
    words = re.findall(r"[\w.-]+", operation)
    layers = [kinds[word] for word in words if word in kinds]
    return layers[0] if layers else "loss, metrics and optimizer" if operation else "unnamed"


def summarize(names, times, kinds, steps):
    """Milliseconds of a step by kind of layer, and the kernels that take longest."""
    by_kind, kernels, with_se = collections.Counter(), [], 0.0
    for instruction, nanoseconds in times.most_common():
        operations = names.get(instruction, ("",))
        milliseconds = nanoseconds / 1e6 / steps
        by_kind[kind_of(operations[0], kinds, instruction)] += milliseconds
        if any(kind_of(operation, kinds) == "SE" for operation in operations):
            with_se += milliseconds
        kernels.append([instruction, operations[0][-120:], round(milliseconds, 4)])
    by_kind = {kind: round(value, 3) for kind, value in by_kind.most_common()}
    return {
        "milliseconds": by_kind,
        "kernels_with_se": round(with_se, 3),
        "all_kernels": round(sum(by_kind.values()), 3),
        "longest_kernels": kernels[:60],
    }


def record(options, folder):
    """Trains for some steps; leaves a trace and the texts of the programs in a folder."""
    os.environ["XLA_FLAGS"] = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={folder}/programs "
        "--xla_dump_hlo_as_text --xla_dump_hlo_module_re=.*train_step.*"
    )
    for name in ("programs", "trace"):
        shutil.rmtree(Path(folder, name), ignore_errors=True)
    # A program from the cache is not written as text.
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    import jax
    import throughput

    from keras_se.applications import get_model

    run = throughput.runner(get_model(options.network), True, options.precision, True, options)
    run()
    with jax.profiler.trace(f"{folder}/trace"):
        run()


def analyze(options, folder):
    """Says where the time of the steps in a folder went."""
    from keras_se.applications import get_model

    layers = get_model(options.network)(weights=None).layers
    kinds = {layer.name: KINDS.get(type(layer).__name__, "other layers") for layer in layers}
    names, times = operation_names(f"{folder}/programs"), device_times(f"{folder}/trace")
    return summarize(names, times, kinds, options.steps)


def main(arguments=None):
    """Prints and writes milliseconds of a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--network", default="seresnet50", help="default: seresnet50")
    parser.add_argument("--size", type=int, default=224, help="side in pixels (default: 224)")
    parser.add_argument("--batch", type=int, default=256, help="images of a step (default: 256)")
    parser.add_argument("--steps", type=int, default=10, help="steps (default: 10)")
    parser.add_argument("--precision", default="bfloat16", choices=("float32", "bfloat16"))
    parser.add_argument("--keep", type=Path, help="folder for the trace and XLA's texts")
    parser.add_argument("--read", type=Path, help="such a folder: only analyzes what is there")
    options = parser.parse_args(arguments)
    options.task = "train"
    if os.environ.get("KERAS_BACKEND") != "jax":
        sys.exit("The profile is JAX's: it needs KERAS_BACKEND=jax.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.read or options.keep or temporary
        if not options.read:
            record(options, folder)
        result = analyze(options, folder)
    work = {key: getattr(options, key) for key in ("network", "size", "batch", "precision")}
    options.out.write_text(json.dumps(work | result, indent=1))
    print(f"{'all kernels':28} {result['all_kernels']:8.2f} ms a step")
    print(f"{'kernels with any SE':28} {result['kernels_with_se']:8.2f} ms a step")
    for kind, milliseconds in result["milliseconds"].items():
        print(f"{kind:28} {milliseconds:8.2f} ms a step")


if __name__ == "__main__":
    main()
