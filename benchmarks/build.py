"""What keras_se adds to importing Keras, and what building SE-ResNet-50 costs.

python benchmarks/build.py [--rounds N]
"""

import argparse
import statistics
import subprocess
import sys
import time

from timing import interleave, print_environment

IMPORTS = ("import keras", "import keras, keras_se")


def import_seconds(rounds):
    """Median seconds of each of `IMPORTS`, in fresh processes, in turns."""
    times = {statement: [] for statement in IMPORTS}
    for turn in range(rounds + 1):
        for statement in IMPORTS:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True, stderr=subprocess.DEVNULL)
            if turn:
                times[statement].append(time.perf_counter() - start)
    return [statistics.median(times[statement]) for statement in IMPORTS]


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
    print(f"import: keras {plain:.2f} s, keras_se {ours - plain:+.2f} s")
    medians = interleave(builders, rounds)
    first = medians["keras.applications.ResNet50"]
    for name, builder in builders.items():
        layers = len(builder().layers)
        print(f"{name:28} {layers:4} layers {medians[name]:6.2f} s {medians[name] / first:6.2f}")


if __name__ == "__main__":
    main()
