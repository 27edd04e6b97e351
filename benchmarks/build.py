"""What keras_se adds to importing Keras, and what building SE-ResNet-50 costs.

python benchmarks/build.py [--rounds N]
"""

import argparse
import statistics
import subprocess
import sys

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


def import_seconds(rounds):
    """Median seconds of importing keras, and of importing keras_se after it."""
    command = [sys.executable, "-c", IMPORT]
    lines = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        for _ in range(rounds)
    ]
    return [statistics.median(float(line[column]) for line in lines) for column in range(2)]


def main():
    """Prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="calls of each (default: 9)")
    rounds = parser.parse_args().rounds
    plain, ours = import_seconds(rounds)
    import keras

    from keras_se.applications import SEResNet50

    builders = {
        "keras.applications.ResNet50": lambda: keras.applications.ResNet50(weights=None),
        "SEResNet50": lambda: SEResNet50(weights=None),
        "SEResNet50(se=False)": lambda: SEResNet50(weights=None, se=False),
    }
    print_environment()
    print(f"import: keras {plain:.2f} s, keras_se after it {ours:.3f} s")
    medians = interleave(builders, rounds)
    first = medians["keras.applications.ResNet50"]
    for name, builder in builders.items():
        layers = len(builder().layers)
        print(f"{name:28} {layers:4} layers {medians[name]:6.2f} s {medians[name] / first:6.2f}")


if __name__ == "__main__":
    main()
