"""Trains the tiny network in processes of their own, forks of one that has imported everything.

That one has computed nothing, so each fork may have devices of its own, and needs no time to start.
"""

import multiprocessing
import os
import sys
import time

import keras
from tiny import SMALL, small

import keras_se.applications
from keras_se import cli, recipes
from keras_se.distribution import devices, rendezvous
from keras_se.training import checkpoint, results

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["keras_se.training.loop", "matplotlib.backends.backend_agg"])


def divide_the_cpu(count):
    """Makes several devices of the CPU."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={count}"
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * count
        tf.config.set_logical_device_configuration(cpu, parts)


def write(*_):
    """In the place of what writes a state, or the numbers of a run."""
    raise OSError("No space left on device")


def train(output, fields, words, count=1, fail_at="", busy=0, wait=None, save_seconds=None):
    """Trains by a recipe of the tiny network, and ends with the exit status of the command.

    Args:
        output: A folder for what the process writes: `1` the standard output, `2` the errors.
        fields: The fields of the recipe.
        words: Those behind `keras-se train tiny`.
        count: How many devices TensorFlow and JAX see; they are CPUs.
        fail_at: Where there is no space: `epoch`, when a state is written, or `end`.
        busy: Seconds that the first process takes after the last epoch.
        wait: Seconds that processes wait for others.
        save_seconds: How often the models are refreshed.
    """

    def at_the_end(network, folder, class_names):
        # In the place of the export to a SavedModel, which the first process does.
        time.sleep(busy)

    for standard in (1, 2):
        os.dup2(os.open(output / str(standard), os.O_WRONLY | os.O_CREAT), standard)
    divide_the_cpu(count)
    keras_se.applications.SETiny = SMALL
    recipes.RECIPES["tiny"] = small(**fields)
    results.export_saved_model = at_the_end
    if fail_at == "end":
        results.summarize = write
    devices.SHUTDOWN_TIMEOUT = 10
    rendezvous.TIMEOUT = wait or rendezvous.TIMEOUT
    checkpoint.SAVE_SECONDS = checkpoint.SAVE_SECONDS if save_seconds is None else save_seconds
    if fail_at == "epoch":
        checkpoint.atomic_path = write
    sys.exit(cli.main(["train", "tiny", *map(str, words)]))
