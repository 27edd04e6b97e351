"""Trains the tiny network in a process of its own: `python train_tiny.py OUT FIELDS [WORDS]`.

`FIELDS` is JSON with the fields of the recipe, `WORDS` are those of `keras-se train`. With
`DEVICES` in the environment, TensorFlow and JAX see so many devices, which are CPUs. `FAIL_AT` is
where there is no space: `epoch`, when a state is written, or `end`. `SECONDS_AT_THE_END` is how
long the first process is busy after the last epoch, more than others would wait when they end.
`SAVE_SECONDS` is how often the models are refreshed, `WAIT` how long processes wait for others.
"""

import json
import os
import sys
import time

DEVICES = int(os.environ.get("DEVICES", "1"))


def divide_the_cpu():
    """Makes several devices; JAX takes that from the environment."""
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * DEVICES
        tf.config.set_logical_device_configuration(cpu, parts)


def at_the_end(network, folder, class_names):
    """In the place of the export to a SavedModel, which the first process does."""
    if os.environ.get("FAIL_AT") == "end":
        raise OSError("No space left on device")
    time.sleep(float(os.environ.get("SECONDS_AT_THE_END", "0")))


def write(path):
    """In the place of what writes a state."""
    raise OSError("No space left on device")


def main(out, fields, *words):
    """Trains; returns the exit status of the command."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"
    divide_the_cpu()

    import tiny

    import keras_se.applications
    from keras_se import cli, recipes
    from keras_se.distribution import devices, rendezvous
    from keras_se.training import checkpoint, results

    keras_se.applications.SETiny = tiny.SMALL
    results.export_saved_model = at_the_end
    checkpoint.SAVE_SECONDS = float(os.environ.get("SAVE_SECONDS", checkpoint.SAVE_SECONDS))
    devices.SHUTDOWN_TIMEOUT = 15
    rendezvous.TIMEOUT = int(os.environ.get("WAIT", rendezvous.TIMEOUT))
    if os.environ.get("FAIL_AT") == "epoch":
        checkpoint.atomic_path = write
    given = json.loads(fields)
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    recipes.RECIPES["tiny"] = tiny.small(**given | lists)
    return cli.main(["train", "tiny", "--out", out, *words])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
