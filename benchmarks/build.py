"""What keras_se adds to importing Keras, and what building its networks costs beside Keras's own.

Building is measured in seconds of the processor, importing in seconds on the clock.

python benchmarks/build.py [--rounds N] [--family NAME ...]
"""

import argparse
import statistics
import subprocess
import sys
import time

from timing import interleave, print_environment

# Timed inside a process that has Keras already: the difference of two processes of several seconds
# each would drown in their noise.
IMPORT = """
import time
start = time.perf_counter()
import keras
middle = time.perf_counter()
import keras_se
print(middle - start, time.perf_counter() - middle)
"""
# A network of each family, and its nearest relative in keras.applications.
RELATIVES = {
    "SEResNet50": "ResNet50",
    "SEResNet101": "ResNet101",
    "SEResNet152": "ResNet152",
    "SEResNeXt50_32x4d": "ResNet50",
    "SENet154": "ResNet152",
    "LegacySEResNet50": "ResNet50",
    "SEInceptionV3": "InceptionV3",
    "SEInceptionResNetV2": "InceptionResNetV2",
    "SEBNInception": "InceptionV3",
    "SEMobileNet": "MobileNet",
    "SEMobileNetV2": "MobileNetV2",
    "MobileNetV3Large": "MobileNetV3Large",
    "MobileNetV3Small": "MobileNetV3Small",
    "SEShuffleNet": "NASNetMobile",
    "SEVGG16": "VGG16",
    "SEDenseNet121": "DenseNet121",
    "SEResNet56": "ResNet101",
    "SEPreResNet56": "ResNet101V2",
}


def import_seconds(rounds):
    """Median seconds of importing keras, and of importing keras_se after it."""
    command = [sys.executable, "-c", IMPORT]
    lines = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        for _ in range(rounds)
    ]
    return [statistics.median(float(line[column]) for line in lines) for column in range(2)]


def builders(name):
    """Functions that build Keras's network, ours, and its plain twin."""
    import keras

    from keras_se.applications import get_model

    row = get_model(name)
    relative = getattr(keras.applications, RELATIVES[name])
    return {
        f"keras.applications.{RELATIVES[name]}": lambda: relative(weights=None),
        row.name: lambda: row(weights=None),
        row.twin.name: lambda: row(weights=None, se=False),
    }


def main():
    """Prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="calls of each (default: 9)")
    parser.add_argument("--family", nargs="*", default=list(RELATIVES), help="networks, all else")
    options = parser.parse_args()
    plain, ours = import_seconds(options.rounds)
    print_environment()
    print(f"import: keras {plain:.2f} s, keras_se after it {ours:.3f} s")
    import keras

    for name in options.family:
        functions = builders(name)
        medians = interleave(functions, options.rounds, time.process_time)
        first = next(iter(medians.values()))
        for network, builder in functions.items():
            seconds = medians[network]
            layers = len(builder().layers)
            print(f"{network:36} {layers:4} layers {seconds:6.2f} s {seconds / first:6.2f}")
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
