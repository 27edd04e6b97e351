"""Trains the tiny network in a process of its own: `python train_tiny.py OUT FIELDS [WORDS]`.

`FIELDS` is JSON with the fields of the recipe, `WORDS` are those of `keras-se train`. With
`DEVICES` in the environment, TensorFlow and JAX see so many devices, which are CPUs.
"""

import json
import os
import sys

DEVICES = int(os.environ.get("DEVICES", "1"))


def divide_the_cpu():
    """Makes several devices; JAX takes that from the environment."""
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * DEVICES
        tf.config.set_logical_device_configuration(cpu, parts)


def main(out, fields, *words):
    """Trains; returns the exit status of the command."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"
    divide_the_cpu()

    import tiny

    import keras_se.applications
    from keras_se import cli
    from keras_se.training import recipes, report

    keras_se.applications.SETiny = tiny.SMALL
    report.export = lambda network, folder: None
    given = json.loads(fields)
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    recipes.RECIPES["tiny"] = tiny.small(**given | lists)
    return cli.main(["train", "tiny", "--out", out, *words])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
